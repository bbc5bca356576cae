"""Silver rows of whole patients to feature rows of every patient-day, as known then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ml.cleaning import to_facts
from ml.cleaning.clean import patient_names
from ml.cleaning.facts import FACT_COLUMNS
from ml.contracts.tables import SILVER
from ml.facts import Facts
from ml.features import FEATURES, canonical, compute
from ml.labels import as_of_times, enrolments, follow_up_ends
from ml.profile import StudyProfile
from spark_jobs.frames import Piece, buckets_of, pack, split, unpack
from spark_jobs.transforms.cleaning import CONTEXT, DAY, gather

_SITE = ("trial_site_id",)
READ: dict[str, pa.Schema] = {
    topic: pa.schema([schema.field(name) for name in (*FACT_COLUMNS[topic], *(_SITE if topic == CONTEXT else ()))])
    for topic, schema in SILVER.items()
}
"""What is read of silver."""

ROWS: pa.Schema = pa.schema(
    [
        ("trial_id", pa.string()),
        ("trial_site_id", pa.string()),
        ("patient_id", pa.string()),
        ("as_of", pa.int64()),
        *((feature.name, pa.float32()) for feature in FEATURES),
    ]
)
"""A row of the feature store: one patient at one time. NaN = no value."""


@dataclass(frozen=True)
class Study:
    """A trial to compute: its profile, the newest time that its rows may be asked about (seconds), and the days since
    1970 that are wanted (both included; None = all on that side)."""

    profile: StudyProfile
    until: int
    first_day: int | None = None
    last_day: int | None = None

    def wants(self, day: int) -> bool:
        """Whether the rows of a day are to be computed."""
        return (self.first_day is None or day >= self.first_day) and (self.last_day is None or day <= self.last_day)


def by_bucket(topic: str, rows: pa.Table, studies: Mapping[str, Study], buckets: int) -> Iterator[Piece]:
    """Rows of the chosen trials, by bucket of patients."""
    wanted = rows.filter(pc.is_in(rows["trial_id"], value_set=pa.array(list(studies), pa.string())))
    if wanted.num_rows:
        for bucket, part in split(wanted, buckets_of(patient_names(wanted), buckets)):
            yield Piece("rows", topic, bucket, pack(part))


def bucket(studies: Mapping[str, Study], pieces: Iterable[Piece]) -> Iterator[Piece]:
    """All silver of some patients: their facts, the kernel at every as-of time, rows by day."""
    tables = {topic: table for (_, topic), table in gather(pieces).items()}
    for trial, study in studies.items():
        own = {topic: table.filter(pc.equal(table["trial_id"], trial)) for topic, table in tables.items()}
        made = feature_rows(own, study)
        if made.num_rows:
            for day, part in split(made, np.asarray(made["as_of"], np.int64) // DAY):
                yield Piece("features", trial, day, pack(part))


def feature_rows(silver: Mapping[str, pa.Table], study: Study) -> pa.Table:
    """Rows (`ROWS`) of every patient of one trial at every as-of time from enrolment to the end of follow-up."""
    facts = Facts.concat([to_facts(topic, rows) for topic, rows in silver.items() if rows.num_rows])
    if not len(facts):
        return ROWS.empty_table()
    last = np.minimum(follow_up_ends(facts, study.until), study.until)
    patient, as_of = as_of_times(study.profile, facts.patients, enrolments(facts, study.until), last)
    wanted = np.array([study.wants(day) for day in (as_of // DAY).tolist()], np.bool_)
    patient, as_of = patient[wanted], as_of[wanted]
    if not len(patient):
        return ROWS.empty_table()
    matrix: NDArray[np.float32] = canonical(compute(facts, patient, as_of, study.profile))
    sites = site_of(silver.get(CONTEXT))
    names = [name.partition("/") for name in facts.patients]
    columns: list[Any] = [
        pa.array([name[0] for name in names], pa.string()).take(pa.array(patient)),
        pa.array([sites.get(name) for name in facts.patients], pa.string()).take(pa.array(patient)),
        pa.array([name[2] for name in names], pa.string()).take(pa.array(patient)),
        pa.array(as_of),
        *(pa.array(np.ascontiguousarray(matrix[:, column])) for column in range(matrix.shape[1])),
    ]
    return pa.table(columns, schema=ROWS)


def site_of(context: pa.Table | None) -> dict[str, str]:
    """Patient ("trial/patient") → the site that their newest context names."""
    if context is None or not context.num_rows:
        return {}
    named = context.filter(pc.is_valid(context["trial_site_id"]))
    order = [(name, "ascending") for name in ("known_time", "epoch", "offset")]
    named = named.take(pc.sort_indices(named, sort_keys=order))
    return dict(zip(patient_names(named).to_pylist(), named["trial_site_id"].to_pylist(), strict=True))


class Statistics(NamedTuple):
    """Of one feature over some rows, enough to be added up: values there, their sum, their squares' sum, extremes."""

    n: int
    total: float
    squares: float
    low: float
    high: float


def in_order(table: pa.Table) -> pa.Table:
    """Feature rows in the order in which they lie."""
    keys = [(name, "ascending") for name in ("trial_id", "patient_id", "as_of")]
    return table.take(pc.sort_indices(table, sort_keys=keys)).combine_chunks()


def join(pieces: Iterable[Piece]) -> pa.Table:
    """Feature rows of one day, in order."""
    return in_order(pa.concat_tables([ROWS.empty_table(), *(unpack(piece.payload) for piece in pieces)]))


def statistics(table: pa.Table) -> list[Statistics]:
    """Statistics of every feature over rows in order."""
    result = []
    for feature in FEATURES:
        values = np.asarray(table[feature.name].to_numpy(), np.float64)
        values = values[~np.isnan(values)]
        if len(values):
            low, high = float(values.min()), float(values.max())
            result.append(Statistics(len(values), float(values.sum()), float((values * values).sum()), low, high))
        else:
            result.append(Statistics(0, 0.0, 0.0, 0.0, 0.0))
    return result


def summary(rows: int, days: Iterable[list[list[Any]]]) -> list[dict[str, Any]]:
    """Per feature: min, max, mean, std (ddof 1) and missing_pct over all days (None without values)."""
    parts = list(days)
    made: list[dict[str, Any]] = []
    for place, feature in enumerate(FEATURES):
        own = [Statistics(*day[place]) for day in parts if day[place][0]]
        n = sum(one.n for one in own)
        body: dict[str, Any] = {
            "name": feature.name,
            "dtype": "float32",
            "unit": feature.unit,
            "description": feature.description,
            "blinding": feature.blinding,
            "missing_pct": round(100.0 * (rows - n) / rows, 4) if rows else None,
        }
        mean = sum(one.total for one in own) / n if n else None
        spread = None
        if n > 1 and mean is not None:
            spread = max(0.0, (sum(one.squares for one in own) - n * mean * mean) / (n - 1)) ** 0.5
        body |= {
            "min": min((one.low for one in own), default=None),
            "max": max((one.high for one in own), default=None),
            "mean": mean,
            "std": spread,
        }
        made.append(body)
    return made
