"""What the 120 features find of the simulated risk: messages → cleaning → facts → kernel → learners, judged by the oracle.

    python -m benchmarks.simulation_kernel [--seeds 101] [--patients 200] [--days 60]

Out of fold, five folds by patient; rows with an as-of time drawn at random in each patient-day. Simulated patients only.
"""

from __future__ import annotations

import argparse
import sys
import time as clock
from collections import defaultdict

import numpy as np
import orjson
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.simulation import ORIGIN
from ml.cleaning.clean import clean
from ml.cleaning.facts import to_facts
from ml.contracts import TOPICS, Accepted, validate
from ml.facts import Facts
from ml.features import kernel
from ml.features.vectors import mask
from ml.simulation import SimulationConfig, Simulator
from ml.simulation.cohort import Cohort, cohort
from ml.simulation.config import DAY
from ml.simulation.demo import demo_profile
from ml.simulation.latent import events, oracle

Float = NDArray[np.float64]
CHUNK = 20
PROFILE = demo_profile("DEMO")


def facts_of(people: Cohort, config: SimulationConfig) -> Facts:
    """All facts of some patients, by the same cleaning as every other way."""
    lines: dict[str, list[dict[str, object]]] = defaultdict(list)
    simulator = Simulator(config, first=int(people.position[0]), last=int(people.position[-1]) + 1)
    for message in simulator.messages(config.origin, config.origin + config.days * DAY):
        if isinstance(validate(message.topic, message.value), Accepted):
            rows = lines[message.topic]
            rows.append(
                {
                    "topic": message.topic, "topic_id": "t", "partition": 0, "offset": len(rows), "timestamp": message.known_at * 1000,
                    "key": message.key, "headers": {"producer": "simulator-history"}, "value": orjson.loads(message.value),
                }
            )  # fmt: skip
    parts = [
        to_facts(topic, clean(topic, lines[topic], epochs={"t": 0}, profiles={"DEMO": PROFILE}).rows)
        for topic in TOPICS
    ]
    return Facts.concat(parts)


def rows_of(people: Cohort, config: SimulationConfig, rng: np.random.Generator) -> tuple[Float, ...]:
    """(features, label, truth, patient) of some patients' days."""
    facts = facts_of(people, config)
    place = {name: number for number, name in enumerate(facts.patients)}
    last = config.origin + config.days * DAY
    row, as_of = [], []
    for person in range(len(people)):
        moments = config.origin + np.arange(1, config.days) * DAY + rng.integers(0, DAY, config.days - 1)
        moments = moments[(moments < last) & (moments < people.end[person] - DAY)]
        row.append(np.full(len(moments), person))
        as_of.append(moments)
    who, when = np.concatenate(row), np.concatenate(as_of)
    number = np.array([place[f"DEMO/{people.patient_id[person]}"] for person in who.tolist()])
    features = mask(kernel.compute(facts, number, when, PROFILE), PROFILE)
    onset = events(people, config.origin, last + 2 * DAY)
    label = np.zeros(len(who))
    for person in range(len(people)):
        own, at = onset.time[onset.row == person], who == person
        label[at] = np.searchsorted(own, when[at] + DAY, "right") > np.searchsorted(own, when[at], "right")
    return features, label, oracle(people, who, when), people.position[who].astype(np.float64)


def measure(seed: int, patients: int, days: int) -> dict[str, float]:
    """AUROC of oracle, logistic regression and gradient boosting, and shares of the oracle's gain."""
    config = SimulationConfig(origin=ORIGIN, seed=seed, patients=patients, days=days)
    rng = np.random.default_rng(seed)
    parts = [rows_of(cohort(config, at, at + CHUNK), config, rng) for at in range(0, patients, CHUNK)]
    x, y, truth, patient = (np.concatenate(part) for part in zip(*parts, strict=True))
    usable = ~np.isnan(x).all(axis=0)
    x = x[:, usable]
    best = roc_auc_score(y, truth)
    found = {"rows": float(len(y)), "positive": float(y.mean()), "oracle": float(best)}
    for name in ("logistic", "trees"):
        score = np.zeros(len(y))
        for train, test in GroupKFold(5).split(x, y, patient):
            if name == "trees":
                model = LGBMClassifier(
                    n_estimators=250, learning_rate=0.03, num_leaves=15, min_child_samples=40, colsample_bytree=0.5,
                    subsample=0.8, subsample_freq=1, verbose=-1, n_jobs=1, random_state=0,
                )  # fmt: skip
            else:
                model = make_pipeline(
                    SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(),
                    LogisticRegression(C=0.003, max_iter=2000),
                )  # fmt: skip
            model.fit(x[train], y[train])
            score[test] = model.predict_proba(x[test])[:, 1]
        auroc = roc_auc_score(y, score)
        found |= {name: float(auroc), f"{name}_gain": float((auroc - 0.5) / (best - 0.5))}
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101])
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--days", type=int, default=60)
    given = parser.parse_args(arguments)
    met = True
    for seed in given.seeds:
        began = clock.perf_counter()
        found = measure(seed, given.patients, given.days)
        told = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
        print(f"seed {seed}: {told} ({clock.perf_counter() - began:.0f} s)", flush=True)
        met &= max(found["logistic_gain"], found["trees_gain"]) >= 0.90
    print(
        f"simulation_kernel: {len(given.seeds)} seeds, goal gain >= 0.90 of the oracle's, {'met' if met else 'missed'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
