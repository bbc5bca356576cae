"""Features of a period: the days asked for are made again, the others stay, and the whole is what one run would give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import orjson
import pytest
from pyspark.sql import SparkSession

from clinical_portal.java import java_home
from ml.lake import Lake, LakeError
from ml.profile import StudyProfile
from spark_jobs.pipelines import clean, features, labels
from spark_jobs.session import open_session
from spark_jobs.settings import JobError, Settings
from tests.support.history import TRIAL, history, write

STUDY = StudyProfile(TRIAL, simulated=True, study_treatments=("Verumab",))
MANIFEST = f"features/manifest-{TRIAL}.json"
SECOND = date(2026, 3, 2)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    home = java_home("", tmp_path_factory.mktemp("java"))
    session = open_session(Settings(Lake.from_url("memory://none"), master="local[2]", java_home=str(home)), "tests")
    yield session
    session.stop()


def store(lake: Lake) -> dict[str, bytes]:
    return {info.path: lake.get(info.path) for info in lake.list("features/") if "created-" not in info.path}


def test_a_period_is_made_again_and_the_rest_stays(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory):
    lake = Lake.from_url(tmp_path_factory.mktemp("lake"))
    for topic, lines in history().items():
        write(lake, topic, lines)
    settings = Settings(lake, {TRIAL: STUDY}, default_trial=TRIAL)
    clean.run(settings)
    features.run(settings)
    whole = store(lake)
    days = sorted(path for path in whole if "date=" in path)
    assert len(days) >= 3
    first, second = days[0], next(path for path in days if SECOND.isoformat() in path)

    # one day is lost: asked for alone, it comes back, and version and bytes are those of the whole run
    lake.delete(second)
    period = replace(settings, first_day=SECOND, last_day=SECOND)
    made = features.run(period)
    assert (made["computed_days"], made["days"]) == (1, len(days))
    assert store(lake) == whole
    labels.run(settings)

    # a period that nothing lies in changes nothing
    assert features.run(replace(settings, first_day=date(2030, 1, 1)))["computed_days"] == 0
    assert store(lake) == whole

    # a day outside the period that is not what its manifest says is not covered up
    kept = lake.get(first)
    lake.put(first, whole[second])
    with pytest.raises(LakeError, match="is not what its manifest says"):
        features.run(period)
    lake.put(first, kept)

    # days that were computed otherwise are not laid beside each other
    manifest = orjson.loads(whole[MANIFEST])
    lake.put(MANIFEST, orjson.dumps(manifest | {"code": "0" * 64}))
    with pytest.raises(JobError, match="for the whole trial"):
        features.run(period)
    with pytest.raises(JobError, match="before it begins"):
        features.run(replace(period, last_day=date(2026, 3, 1)))
