"""Predictions of a finished trial: one a patient-day, from the feature store, as each day would have been answered."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from apps.audit.actors import Actor
from apps.core.errors import Conflict
from apps.core.lake import lake
from apps.predictions import services
from apps.predictions.answering import Answer, Question, answer_vectors
from apps.predictions.models import Prediction
from apps.predictions.serving import current, forget
from apps.predictions.watermarks import of_bronze
from ml.features import FEATURES, canonical, mask

BATCH = Actor.process("batch")
ROWS_A_TIME = 1000
_READERS = 2


def predict_days(context: dict[str, Any], report: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Inputs: trial, last_days (optional). Outputs: predictions, indeterminate (none where nothing serves).

    Days already answered by the serving version are left out.
    """
    trial_id = str(context["trial"])
    forget()
    serving = current(trial_id)
    if serving is None:
        report("no model serves this trial yet: two model approvers sign for a version in the admin", 1, 1)
        return {"predictions": 0, "indeterminate": 0}
    done = set(
        Prediction.objects.filter(trial_id=trial_id, model_version=serving.model_version, source="batch").values_list(
            "patient_id", "as_of"
        )
    )
    there = {(patient, int(as_of.timestamp())) for patient, as_of in done}
    table = _features(trial_id, context.get("last_days"))
    if table.num_rows == 0:
        raise Conflict(f"Trial {trial_id} has no features yet.", cure="Run the features job first.", code="no_features")
    names = [f"{trial_id}/{patient}" for patient in table["patient_id"].to_pylist()]
    watermarks = of_bronze(set(names))
    times = table["as_of"].to_pylist()
    vectors = canonical(mask(_matrix(table), serving.profile))
    rows = [row for row in range(len(names)) if (names[row], times[row]) not in there]
    indeterminate = 0

    def answered(part: list[int]) -> list[Answer]:
        questions = [Question(names[row], times[row], watermarks[names[row]]) for row in part]
        return answer_vectors(questions, vectors[part], serving)

    for part, answers in _ahead(answered, _parts(rows)):
        services.store(by=BATCH, answers=answers, serving=serving, source=Prediction.Source.BATCH)
        indeterminate += sum(answer.probability is None for answer in answers)
        report(f"{part[-1] + 1:,} of {len(names):,} patient-days", part[-1] + 1, len(names))
    return {"predictions": len(rows), "indeterminate": indeterminate}


def _ahead(
    answered: Callable[[list[int]], list[Answer]], parts: Iterable[list[int]]
) -> Iterator[tuple[list[int], list[Answer]]]:
    """Each part with its answers; the next one is scored while the database takes this one."""
    waiting: deque[tuple[list[int], Future[list[Answer]]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="score") as scorer:
        for part in parts:
            waiting.append((part, scorer.submit(answered, part)))
            if len(waiting) > 1:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


def _parts(rows: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(rows), ROWS_A_TIME):
        yield rows[start : start + ROWS_A_TIME]


def _features(trial_id: str, last_days: int | None) -> pa.Table:
    """Feature rows of the trial, of all days or the last ones, by patient and time."""
    store = lake()
    paths = sorted(info.path for info in store.list("features/") if info.path.endswith(".parquet"))

    def day(path: str) -> pa.Table:
        # not `read_table`: its dataset machinery costs more than reading a day
        part = pq.ParquetFile(io.BytesIO(store.get(path))).read(use_threads=False)
        return part.filter(pc.equal(part["trial_id"], trial_id))

    with ThreadPoolExecutor(_READERS, thread_name_prefix="features") as readers:
        parts = list(readers.map(day, paths[-last_days:] if last_days else paths))
    if not parts:
        return pa.table({"trial_id": pa.array([], pa.string())})
    return pa.concat_tables(parts).sort_by([("patient_id", "ascending"), ("as_of", "ascending")])


def _matrix(table: pa.Table) -> NDArray[np.float64]:
    columns = [table[feature.name].to_numpy(zero_copy_only=False) for feature in FEATURES]
    return np.column_stack(columns).astype(np.float64)
