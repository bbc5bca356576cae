"""From an SDTM package to the rows a model learns from, by the same functions as the pipelines, without a server."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ml.cleaning import clean, to_facts
from ml.contracts import TOPICS
from ml.facts import Facts
from ml.features import NAMES, canonical, compute, mask
from ml.labels import as_of_times, enrolments, follow_up_ends, label
from ml.profile import StudyProfile
from ml.sdtm import Package, read_package
from ml.training.data import TrainingData

MATURITY_DAYS = 60
DAY = 86_400


def facts_of(package: Package, profile: StudyProfile) -> Facts:
    """The package's events as bronze would hold them, cleaned, as facts."""
    lines: dict[str, list[dict[str, object]]] = {topic: [] for topic in TOPICS}
    for offset, one in enumerate(package.events):
        lines[one.topic].append(
            {"topic": one.topic, "topic_id": "study", "partition": 0, "offset": offset, "timestamp": 1_790_000_000_000,
             "headers": {"producer": "sdtm-import"}, "value": one.value}
        )  # fmt: skip
    profiles = {package.trial_id: profile}
    return Facts.concat(
        [to_facts(t, clean(t, lines[t], epochs={"study": 0}, profiles=profiles).rows) for t in TOPICS if lines[t]]
    )


def profile_of(package: Package, **changes: object) -> StudyProfile:
    """A finished study's profile: blinded, at risk from the first dose."""
    fields: dict[str, object] = {
        "live": False, "study_treatments": package.study_treatments, "label_maturity_days": MATURITY_DAYS,
        "risk_from_first_dose": True,
    }  # fmt: skip
    return StudyProfile(package.trial_id, **{**fields, **changes})  # type: ignore[arg-type]


def rows_of_study(folder: Path, **changes: object) -> tuple[TrainingData, StudyProfile]:
    """Training rows of a package's folder, and the profile they were made under (`changes` to its fields)."""
    package = read_package(folder)
    profile = profile_of(package, **changes)
    facts = facts_of(package, profile)
    until = package.last + MATURITY_DAYS * DAY
    ends = np.minimum(follow_up_ends(facts, until), package.last)
    who, when = as_of_times(profile, facts.patients, enrolments(facts, until), ends)
    labels = label(facts, who, when, profile, known_by=until)
    counts = labels.counts
    who, when = who[counts], when[counts]
    sites = {f"{package.trial_id}/{event.patient_id}": event.value["trial_site_id"] for event in package.events}
    data = TrainingData(
        names=NAMES,
        patients=facts.patients,
        patient=who,
        as_of=when,
        features=canonical(mask(compute(facts, who, when, profile), profile)),
        label=labels.label[counts],
        site=np.array([sites[facts.patients[p]] for p in who.tolist()]),
        hours_to_onset=np.full(len(who), np.nan),
        left_out=labels.left_out(),
    )
    return data, profile
