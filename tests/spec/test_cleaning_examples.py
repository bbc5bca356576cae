"""The drawn examples of cleaning, on the plain functions, as they stand on the docs page."""

from __future__ import annotations

import pytest

from ml.cleaning.drawing import Example, run, shown
from ml.cleaning.examples import EXAMPLES
from ml.cleaning.rules import FLAG_RULES, QUARANTINE_RULES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_example(example: Example):
    outcome = run(example)
    assert shown(outcome.rows, example.rows) == list(example.rows)
    assert outcome.aside == list(example.aside)
    assert outcome.duplicates == example.duplicates


def test_every_rule_has_an_example():
    aside = {rule for example in EXAMPLES for rule, _, _ in example.aside}
    flags = {flag for example in EXAMPLES for row in example.rows for flag in row.get("flags", ())}
    assert {rule.name for rule in QUARANTINE_RULES} == aside
    kinds = {"implausible_heart_rate": "implausible", "filled_temperature": "filled"}
    shown_kinds = {kinds.get(flag, flag) for flag in flags}
    for rule in FLAG_RULES:
        per_sign = rule.name not in flags and rule.name.startswith(("implausible_", "filled_"))
        assert per_sign or rule.name in flags, rule.name
    assert {"implausible", "filled"} <= shown_kinds
