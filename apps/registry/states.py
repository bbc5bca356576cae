"""How a model version may move, as a table. The database holds the same pairs in a trigger; a test compares them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["candidate", "staging", "production", "silent", "retired", "rejected"]
STATES: tuple[State, ...] = ("candidate", "staging", "production", "silent", "retired", "rejected")
SERVING: frozenset[State] = frozenset({"production", "silent"})
SIGNATURES_NEEDED = 2


@dataclass(frozen=True, slots=True)
class Transition:
    """One allowed move. ``signatures``: how many people must have signed the same text; ``gates``: whether the version
    must have passed them (None = either); ``audit``: the action that is recorded."""

    action: str
    source: State
    target: State
    signatures: int
    gates: bool | None
    audit: str
    sentence: str


# fmt: off
TRANSITIONS: tuple[Transition, ...] = (
    Transition("stage", "candidate", "staging", 0, True, "registry.model_staged", "All gates passed; it serves nobody yet."),
    Transition("release", "staging", "production", 2, True, "registry.model_released", "Two people signed; it serves, with alerts."),
    Transition("release_silent", "staging", "silent", 2, None, "registry.model_released_silent", "Two people signed for research only."),
    Transition("release_silent", "candidate", "silent", 2, None, "registry.model_released_silent",
               "Below its gates; two people signed for research only."),
    Transition("retire", "production", "retired", 0, None, "registry.model_retired", "It no longer serves."),
    Transition("retire", "silent", "retired", 0, None, "registry.model_retired", "It no longer serves."),
    Transition("roll_back", "production", "retired", 0, None, "registry.model_rolled_back", "Its predecessor serves again."),
    Transition("roll_back", "silent", "retired", 0, None, "registry.model_rolled_back", "Its predecessor serves again."),
    Transition("restore", "retired", "production", 2, True, "registry.model_restored",
               "Its successor was rolled back; it serves again over the two signatures it was released with."),
    Transition("restore_silent", "retired", "silent", 2, None, "registry.model_restored",
               "Its successor was rolled back; it serves again, for research only, over the two signatures it has."),
    Transition("reject", "candidate", "rejected", 0, None, "registry.model_rejected", "Refused by a person, with a reason."),
    Transition("reject", "staging", "rejected", 0, None, "registry.model_rejected", "Refused by a person, with a reason."),
)
# fmt: on
BY_MOVE: dict[tuple[str, str], Transition] = {(row.action, row.source): row for row in TRANSITIONS}
ACTIONS: tuple[str, ...] = tuple(dict.fromkeys(row.action for row in TRANSITIONS))
