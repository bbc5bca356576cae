"""The real pilot's honest figure: blinded, 24 h, grouped folds. More than 0.70 would be a leak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.cleaning import clean, to_facts
from ml.contracts import TOPICS
from ml.facts import Facts
from ml.features import NAMES, canonical, compute, mask
from ml.labels import as_of_times, enrolments, follow_up_ends, label
from ml.profile import StudyProfile
from ml.sdtm import read_package
from ml.training.crossval import cross_validate
from ml.training.data import TrainingData
from ml.training.source import hidden_features
from ml.training.train import TrainingConfig

MATURITY_DAYS = 60


def pilot_rows(folder: Path) -> tuple[TrainingData, StudyProfile]:
    package = read_package(folder)
    profile = StudyProfile(
        package.trial_id, live=False, study_treatments=package.study_treatments, label_maturity_days=MATURITY_DAYS
    )
    lines: dict[str, list[dict[str, object]]] = {topic: [] for topic in TOPICS}
    for offset, one in enumerate(package.events):
        lines[one.topic].append(
            {"topic": one.topic, "topic_id": "pilot", "partition": 0, "offset": offset, "timestamp": 1_790_000_000_000,
             "headers": {"producer": "sdtm-import"}, "value": one.value}
        )  # fmt: skip
    profiles = {package.trial_id: profile}
    read = [to_facts(t, clean(t, lines[t], epochs={"pilot": 0}, profiles=profiles).rows) for t in TOPICS]
    facts = Facts.concat(read)
    until = package.last + MATURITY_DAYS * 86_400
    ends = np.minimum(follow_up_ends(facts, until), package.last)
    who, when = as_of_times(profile, facts.patients, enrolments(facts, until), ends)
    labels = label(facts, who, when, profile, known_by=until)
    counts = labels.counts
    who, when = who[counts], when[counts]
    data = TrainingData(
        names=NAMES,
        patients=facts.patients,
        patient=who,
        as_of=when,
        features=canonical(mask(compute(facts, who, when, profile), profile)),
        label=labels.label[counts],
        site=np.array([facts.patients[p].split("-")[1] for p in who.tolist()]),
        hours_to_onset=np.full(len(who), np.nan),
        left_out=labels.left_out(),
    )
    return data, profile


@pytest.mark.slow
def test_the_pilot_gives_between_0_60_and_0_70(pilot_dir):
    data, profile = pilot_rows(pilot_dir)
    assert np.isnan(data.column("trial_arm")).all()
    assert 0.01 < data.label.mean() < 0.04
    body = cross_validate(TrainingConfig(), data, profile, masked=hidden_features(profile), draws=200)
    auroc = body["figures"]["auroc"]
    assert 0.60 <= auroc["value"] <= 0.70, auroc
    assert body["figures"]["ece"]["value"] < 0.05
    assert body["simulated"] is False
