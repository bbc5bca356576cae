"""The drawn examples of features, on the kernel and on the reference, as they stand on the docs page."""

from __future__ import annotations

import numpy as np
import pytest

from ml.features import FEATURES, INDEX, compute, reference
from ml.features.examples import EXAMPLES, Example, facts_of, seconds
from ml.profile import StudyProfile

PROFILE = StudyProfile("DEMO")


@pytest.mark.parametrize("way", [compute, reference.compute], ids=["kernel", "reference"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_example(example: Example, way):
    vector = way(facts_of(example.given), np.array([0]), np.array([seconds(example.at)]), PROFILE)[0]
    for name, text in example.expected.items():
        value = vector[INDEX[name]]
        if text == "none":
            assert np.isnan(value), name
        else:
            assert value == float(text), name


def test_every_way_of_summarising_has_an_example():
    shown = {FEATURES[INDEX[name]].aggregation for example in EXAMPLES for name in example.expected}
    assert {feature.aggregation for feature in FEATURES} == shown


def test_a_line_that_cannot_be_read_is_named():
    with pytest.raises(ValueError, match="Line 1"):
        facts_of("yesterday heart_rate 70")
