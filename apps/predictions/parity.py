"""Parity: the same features, whichever way they are computed, to the last bit.

For drawn (patient, time) pairs the 120 features are computed three ways:

* offline: silver's Parquet, the whole history, all patients and times in one call of the kernel;
* reference: the plain program beside the kernel, on the same facts, one patient at a time;
* online: bronze's messages replayed in the order in which they became known, in small batches, through the live loop's
  own applier into a window that is packed, unpacked and pruned as in production; then the kernel, one patient at one time.

Nothing is written anywhere. Online sees exactly the messages that silver was made of, so bronze may be ahead of it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from apps.core.errors import Conflict
from apps.core.lake import lake
from apps.ingestion.applier import CONTEXT, ORDER, Applier
from apps.ingestion.window import WindowStore
from apps.patients import selectors as patients
from apps.predictions.pairs import Pairs, draw
from apps.predictions.watermarks import of_bronze
from ml.cleaning import clean, to_facts
from ml.cleaning.clean import patient_names
from ml.cleaning.facts import FACT_COLUMNS
from ml.contracts import TOPICS
from ml.contracts.tables import SILVER
from ml.facts import Facts
from ml.features import FEATURES, NAMES, Difference, compare, compute, reference
from ml.lake import ObjectMissing
from ml.lake.bronze import BronzeLine, events_of_patients
from ml.lake.epochs import epochs
from ml.profile import StudyProfile
from ml.window import Window, by_patient, empty, pack, unpack

Matrix = NDArray[np.float64]
Say = Callable[[str], None]
MOST_PATIENTS = 40
LARGEST_BATCH = 120
"""Messages that the online way applies together, at most; how many is drawn anew each time."""


@dataclass(frozen=True, slots=True)
class Answers:
    """float64[n, 120] of each way, in the order of the pairs."""

    offline: Matrix
    reference: Matrix
    online: Matrix


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found. `differences`: (the other way, what differs from offline)."""

    pairs: Pairs
    answers: Answers
    differences: tuple[tuple[str, Difference], ...]

    @property
    def equal_pairs(self) -> int:
        """Pairs in which all 120 agree, all three ways."""
        return len(self.pairs) - len({difference.row for _, difference in self.differences})

    def values(self) -> dict[str, int]:
        """Feature → in how many pairs it has a value."""
        counts = np.isfinite(self.answers.offline).sum(axis=0).tolist()
        return dict(zip(NAMES, counts, strict=True))


class Shelf(WindowStore):
    """Windows in this process's memory, in the bytes that Valkey would hold."""

    def __init__(self) -> None:
        super().__init__(client=None)
        self.packed: dict[str, bytes] = {}

    def windows(self, patients: Sequence[str]) -> dict[str, Window]:
        """Those that are there."""
        return {name: unpack(self.packed[name]) for name in patients if name in self.packed}

    def save(self, windows: Iterable[Window], *_: Any, **__: Any) -> None:
        """Replace windows; nothing is read on from here, nobody is scored."""
        self.packed |= {window.patient: pack(window) for window in windows}

    def waiting_patients(self) -> set[str]:
        """Nobody waits here."""
        return set()


def check(
    trial_id: str, *, pairs: int = 1000, seed: int = 0, most_patients: int = MOST_PATIENTS, say: Say = lambda _: None
) -> Found:
    """Draw pairs of a trial and compare. Raises Conflict where it has no silver, NotFound where there is no trial."""
    profile = patients.profile(trial_id)
    rng = np.random.default_rng(seed)
    ends = silver_ends()
    facts = silver_facts(trial_id, ends, rng, most_patients)
    drawn = draw(facts, pairs, rng)
    say(f"{len(facts):,} facts of {len(facts.patients)} patients read from silver")
    return judge(drawn, answers(facts, drawn, profile, ends, rng, say))


def judge(pairs: Pairs, found: Answers) -> Found:
    """Compare the ways, bit by bit."""
    names = [pairs.patients[who] for who in pairs.who.tolist()]
    differences = [
        (way, difference)
        for way, matrix in (("reference", found.reference), ("online", found.online))
        for difference in compare(found.offline, matrix, names, pairs.when)
    ]
    return Found(pairs, found, tuple(differences))


def answers(
    facts: Facts,
    pairs: Pairs,
    profile: StudyProfile,
    ends: Mapping[str, Mapping[str, int]],
    rng: np.random.Generator,
    say: Say,
) -> Answers:
    """Compute the three ways."""
    offline = compute(facts, pairs.who, pairs.when, profile)
    say("offline computed")
    plain = np.full_like(offline, np.nan)
    online = np.full_like(offline, np.nan)
    own = by_patient(facts)
    watermarks = {
        name: clipped(watermark, ends)
        for name, watermark in of_bronze([facts.patients[p] for p in np.unique(pairs.who)]).items()
    }
    for done, number in enumerate(np.unique(pairs.who).tolist(), 1):
        name = facts.patients[number]
        rows = np.flatnonzero(pairs.who == number)
        rows = rows[np.argsort(pairs.when[rows], kind="stable")]
        times = pairs.when[rows]
        plain[rows] = reference.compute(own[name], np.zeros(len(rows), np.int32), times, profile)
        lines = events_of_patients(lake(), {name: watermarks[name]})[name]
        for row, window in zip(rows, replayed(name, lines, times, profile, rng), strict=True):
            online[row] = compute(window.facts, np.zeros(1, np.int32), pairs.when[row : row + 1], profile)[0]
        say(f"reference and online computed for {done} of {len(watermarks)} patients")
    return Answers(offline, plain, online)


# --- what silver holds -------------------------------------------------------------------------------------------------


def silver_ends() -> dict[str, dict[str, int]]:
    """Topic → "topic id/partition" → the last offset that silver was made of. Raises Conflict where there is none."""
    found = {}
    for topic in TOPICS:
        try:
            found[topic] = dict(json.loads(lake().get(f"processed/_state/{topic}.json"))["ends"])
        except ObjectMissing:
            continue
    if not found:
        raise Conflict("There is no silver yet.", cure="Run the clean job first.", code="no_silver")
    return found


def clipped(watermark: Mapping[str, Sequence[Any]], ends: Mapping[str, Mapping[str, int]]) -> dict[str, list[Any]]:
    """The part of a watermark that silver was made of."""
    kept = {}
    for name, (topic_id, partition, offset) in watermark.items():
        end = ends.get(name.partition("@")[0], {}).get(f"{topic_id}/{partition}")
        if end is not None:
            kept[name] = [topic_id, partition, min(int(offset), end)]
    return kept


def silver_facts(
    trial_id: str, ends: Mapping[str, Mapping[str, int]], rng: np.random.Generator, most_patients: int
) -> Facts:
    """Facts of a trial's patients from silver's Parquet; of many patients, so many drawn ones."""
    names = sorted(patient_names(_table(CONTEXT, trial_id)).unique().to_pylist()) if CONTEXT in ends else []
    if not names:
        raise Conflict(f"Trial {trial_id} has no silver yet.", cure="Run the clean job first.", code="no_silver")
    if len(names) > most_patients:
        names = sorted(names[place] for place in rng.choice(len(names), most_patients, replace=False))
    parts = [Facts.empty(names)]
    parts += [to_facts(topic, _table(topic, trial_id, names)) for topic in ends]
    return Facts.concat(parts)


def _table(topic: str, trial_id: str, names: Sequence[str] | None = None) -> pa.Table:
    """What facts are made of in a topic's silver; of these patients ("trial/patient") only, where they are given."""
    columns = list(FACT_COLUMNS[topic])
    parts = [pa.table({name: pa.array([], SILVER[topic].field(name).type) for name in columns})]
    wanted = None if names is None else pa.array([name.partition("/")[2] for name in names], pa.string())
    for info in lake().list(f"processed/{topic}/"):
        if info.path.endswith(".parquet"):
            part = pq.read_table(io.BytesIO(lake().get(info.path)), columns=columns, partitioning=None)
            mine = pc.equal(part["trial_id"], trial_id)
            parts.append(part.filter(mine if wanted is None else pc.and_(mine, pc.is_in(part["patient_id"], wanted))))
    return pa.concat_tables(parts, promote_options="permissive")


# --- the online way ----------------------------------------------------------------------------------------------------


def replayed(
    name: str, lines: Sequence[BronzeLine], times: NDArray[np.int64], profile: StudyProfile, rng: np.random.Generator
) -> Iterator[Window]:
    """The patient's window at each of the rising `times`, as the live loop would have had it."""
    shelf = Shelf()
    applier = Applier(lake=lake(), store=shelf, default_trial=profile.trial_id)
    order = {topic: epochs(lake(), topic) for topic in ORDER}
    arriving = _by_arrival(lines, profile, order)
    at = 0
    for time in times.tolist():
        until = at
        while until < len(arriving) and arriving[until][0] <= time:
            until += 1
        while at < until:
            cut = min(until, at + 1 + int(rng.integers(LARGEST_BATCH)))
            _apply(applier, [line for _, line in arriving[at:cut]], order)
            at = cut
        yield shelf.windows([name]).get(name) or empty(name)


def _by_arrival(
    lines: Sequence[BronzeLine], profile: StudyProfile, order: Mapping[str, Mapping[str, int]]
) -> list[tuple[int, BronzeLine]]:
    """(known time, line) in the order of becoming known: what a backfill tells at once came bit by bit back then."""
    known: dict[tuple[str, str, int, int], int] = {}
    for topic in ORDER:
        mine = [line for line in lines if line["topic"] == topic]
        rows = clean(
            topic, mine, epochs=order[topic], profiles={profile.trial_id: profile}, default_trial=profile.trial_id
        ).rows
        places = zip(
            rows["topic_id"].to_pylist(), rows["partition"].to_pylist(), rows["offset"].to_pylist(), strict=True
        )
        known |= {(topic, *place): time for place, time in zip(places, rows["known_time"].to_pylist(), strict=True)}
    found = []
    for line in lines:
        place = (line["topic"], line["topic_id"], line["partition"], line["offset"])
        if place in known:  # what was quarantined makes no fact either way
            found.append((known[place], order[line["topic"]][line["topic_id"]], ORDER.index(line["topic"]), line))
    found.sort(key=lambda one: (one[0], one[1], one[2], one[3]["offset"]))
    return [(time, line) for time, _, _, line in found]


def _apply(applier: Applier, lines: Sequence[BronzeLine], order: Mapping[str, Mapping[str, int]]) -> None:
    """What `Applier.apply` does, less the tables the portal shows."""
    for topic in ORDER:
        if mine := [line for line in lines if line["topic"] == topic]:
            rows = clean(
                topic, mine, epochs=order[topic], profiles=applier.profiles, default_trial=applier.default_trial
            ).rows
            if rows.num_rows:
                applier.gather(topic, rows)
    applier.flush({}, pruning=True)
    applier.rebuild_moved()


def plant(found: Found, rng: np.random.Generator) -> tuple[Found, Difference]:
    """Flip the last bit of one value of the online way, and judge again; the verdict, and what was planted."""
    rows, columns = np.nonzero(np.isfinite(found.answers.offline))
    place = int(rng.integers(len(rows)))
    row, column = int(rows[place]), int(columns[place])
    online = found.answers.online.copy()
    online.view(np.uint64)[row, column] ^= np.uint64(1)
    changed = Answers(found.answers.offline, found.answers.reference, online)
    planted = Difference(
        row=row,
        patient=found.pairs.patients[int(found.pairs.who[row])],
        as_of=int(found.pairs.when[row]),
        feature=FEATURES[column].name,
        first=float(found.answers.offline[row, column]),
        second=float(online[row, column]),
    )
    return judge(found.pairs, changed), planted
