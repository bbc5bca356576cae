"""The demonstration's preparation: each step once, an interrupted one again, one of them beside the others."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from apps.portal import demo
from apps.portal.demo import Step, prepare


@pytest.fixture(autouse=True)
def var(tmp_path: Path, settings: Any) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path


class Work:
    """Steps that note that they were done; `broken` ones stop before."""

    def __init__(self, *broken: str) -> None:
        self.done: list[str] = []
        self.broken = set(broken)

    def step(self, name: str, **options: Any) -> Step:
        def do(_say: Any) -> None:
            if name in self.broken:
                raise KeyboardInterrupt
            self.done.append(name)

        return Step(name, f"{name} is done", do, **options)


def test_each_step_is_done_once_and_an_interrupted_one_again() -> None:
    for stops_at, expected in (
        ("b", ["every", "a"]),
        ("c", ["every", "b"]),
        ("d", ["every", "c"]),
        ("", ["every", "d"]),
    ):
        work = Work(stops_at)
        steps = [work.step("every", every=True), *(work.step(name) for name in "abcd")]
        if stops_at:
            with pytest.raises(KeyboardInterrupt):
                prepare(lambda _: None, steps)
        else:
            prepare(lambda _: None, steps)
        assert work.done == expected
    said: list[str] = []
    work = Work()
    prepare(said.append, [work.step("every", every=True), *(work.step(name) for name in "abcd")])
    assert (work.done, said) == (["every"], []), "a second start does what is quick, and has nothing to tell"


def test_a_step_beside_the_others_is_awaited_and_fails_like_them() -> None:
    free, order = threading.Event(), []

    def slow(_say: Any) -> None:
        assert free.wait(10)
        order.append("slow")

    def quick(_say: Any) -> None:
        order.append("quick")
        free.set()

    prepare(lambda _: None, [Step("slow", "", slow, beside=True), Step("quick", "", quick)])
    assert order == ["quick", "slow"]
    assert demo.Memory().done() == {"slow", "quick"}

    def fails(_say: Any) -> None:
        raise demo.Failed("The disk is full.")

    work = Work()
    with pytest.raises(demo.Failed, match="disk"):
        prepare(lambda _: None, [Step("fails", "", fails, beside=True), work.step("last")])
    assert "fails" not in demo.Memory().done()


def test_the_windows_need_nothing_of_the_steps_they_are_filled_beside() -> None:
    names = [step.name for step in demo.STEPS]
    assert names.index("windows") == names.index("history") + 1
    assert {step.name for step in demo.STEPS if step.beside} == {"windows"}
    assert {step.name for step in demo.STEPS if step.every} == {"people"}
