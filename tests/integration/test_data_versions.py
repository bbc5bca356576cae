"""Data versions that are kept: cheap, given back by digest, proved against their manifest, good to train on."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from apps.core.errors import Conflict, Invalid, NotFound
from apps.pipelines import data_versions, jobs
from ml.features import FEATURES, TABLE_DIGEST
from ml.lake import Lake
from ml.lake.parquet import parquet, parquet_digest
from ml.profile import StudyProfile
from ml.training import source

TRIAL = "T"
DAY = 86_400


def table(trials: tuple[str, ...], day: int, shift: float) -> pa.Table:
    """A day's feature rows of some trials, in the order in which they lie."""
    rows = [(trial, f"P{number}") for trial in trials for number in range(3)]
    columns: dict[str, Any] = {
        "trial_id": [trial for trial, _ in rows],
        "trial_site_id": ["S1"] * len(rows),
        "patient_id": [name for _, name in rows],
        "as_of": pa.array([day * DAY] * len(rows), pa.int64()),
    }
    for place, feature in enumerate(FEATURES):
        columns[feature.name] = pa.array(np.full(len(rows), place + shift, np.float32))
    return pa.table(columns)


def fill(lake: Lake, shift: float = 0.0) -> str:
    """Features of two days (another trial's rows beside ours in the objects), labels, manifests; the data version."""
    days, keys = {}, []
    for day in (20_000, 20_001):
        path = f"features/date={np.datetime64(day, 'D')}/part.parquet"
        both = table((TRIAL, "Z"), day, shift)
        lake.put(path, parquet(both))
        own = both.slice(0, 3)
        days[path] = {"rows": 3, "sha256": parquet_digest(own.combine_chunks())}
        keys.append(own.select(["trial_id", "trial_site_id", "patient_id", "as_of"]))
    manifest = {"trial_id": TRIAL, "feature_table": TABLE_DIGEST, "days": days, "rows": 6}
    lake.put(source.features_manifest(TRIAL), json.dumps(manifest).encode())
    known = pa.concat_tables(keys)
    label = pa.array(np.tile([0, 1, 0], 2).astype(np.int8))
    known = known.append_column("label", label).append_column("onset", pa.nulls(6, pa.int64()))
    known = known.append_column("reason", pa.array([""] * 6))
    sink = io.BytesIO()
    pq.write_table(known, sink)
    lake.put("labels/T/as_of=1/part.parquet", sink.getvalue())
    labels = {
        "path": "labels/T/as_of=1/part.parquet",
        "sha256": hashlib.sha256(sink.getvalue()).hexdigest(),
        "features": days,
        "as_of": 1,
    }
    lake.put(source.labels_manifest(TRIAL), json.dumps(labels).encode())
    return hashlib.sha256(json.dumps(manifest).encode()).hexdigest()


@pytest.fixture
def lake(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Lake:
    settings.VAR_DIR = tmp_path / "var"
    made = Lake.from_url(tmp_path / "var" / "lake")
    monkeypatch.setattr(data_versions, "the_lake", lambda: made)
    return made


def keep() -> dict[str, Any]:
    return data_versions.keep({"trial": TRIAL}, lambda *_: None)


def test_each_version_comes_back_as_it_was_after_the_lake_went_on(lake: Lake, tmp_path: Path) -> None:
    first = fill(lake)
    assert keep() == {"kept_version": first, "kept_new": 2}
    assert keep()["kept_new"] == 0, "what is kept is not kept again"
    day = lake.local_path(f"features/date={np.datetime64(20_000, 'D')}/part.parquet")
    assert day is not None
    assert day.stat().st_nlink > 1, "a hard link, not a second copy"
    second = fill(lake, shift=0.5)
    assert second != first
    keep()
    assert {version for _, version in data_versions.kept()} == {first, second}

    for version, value in ((first, 0.0), (second, 0.5)):
        to = tmp_path / f"again-{version[:4]}"
        done = data_versions.restore(version[:12], to)
        assert (done.trial, done.data_version, done.rows, done.files) == (TRIAL, version, 6, 5)
        data, provenance = source.load(Lake.from_url(to), StudyProfile(TRIAL, simulated=True, blinded=False))
        assert (provenance.data_version, len(data), float(data.features[0, 0])) == (version, 6, value)
        (to / "features" / "new").write_text("whoever works here changes nothing that is kept")
    assert data_versions.restore(first, tmp_path / "once-more").rows == 6


def test_what_is_not_kept_or_no_longer_what_it_was_is_said(lake: Lake, tmp_path: Path) -> None:
    version = fill(lake)
    with pytest.raises(NotFound, match="is not kept"):
        data_versions.restore(version, tmp_path / "to")
    keep()
    with pytest.raises(Invalid, match="no data version"):
        data_versions.restore(version[:4], tmp_path / "to")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(Invalid, match="is not empty"):
        data_versions.restore(version, tmp_path / "full")
    to = tmp_path / "to"
    data_versions.restore(version, to)
    day = next((to / "features").glob("date=*/part.parquet"))
    day.write_bytes(parquet(table((TRIAL, "Z"), 20_000, 9.0)))
    with pytest.raises(Conflict, match="is not what it was: features/date="):
        data_versions._verify(
            Lake.from_url(to), TRIAL, version, data_versions.restore(version, tmp_path / "b").labels_version
        )
    lake.put(source.labels_manifest(TRIAL), json.dumps({"features": {}}).encode())
    with pytest.raises(Conflict, match="older features"):
        keep()


def test_a_remote_of_the_operators_holds_what_the_store_has_lost(lake: Lake, tmp_path: Path) -> None:
    import shutil

    fill(lake)
    keep()
    data_versions._dvc("remote", "add", "--default", "outside", str(tmp_path / "outside"))
    version = fill(lake, shift=1.0)
    keep()
    shutil.rmtree(data_versions.store() / ".dvc" / "cache")
    assert data_versions.restore(version, tmp_path / "to").data_version == version


def test_the_command_lists_and_gives_back(lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = fill(lake)
    keep()
    call_command("data_version")
    assert f"{version}  {TRIAL}" in capsys.readouterr().out
    call_command("data_version", version, "--to", str(tmp_path / "to"))
    assert "6 rows in 5 files, each as its manifest says" in capsys.readouterr().out
    with pytest.raises(CommandError, match="--to FOLDER"):
        call_command("data_version", version)


def test_every_job_that_builds_features_keeps_them_before_it_trains() -> None:
    for job in jobs.JOBS.values():
        names = [step.name for step in job.steps]
        if "features" in names:
            assert "keep" in names, job.name
            assert "train" not in names or names.index("labels") < names.index("keep") < names.index("train")
