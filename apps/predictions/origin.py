"""Where a prediction's model came from: version → run → data version → code, each looked up where it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import orjson

from apps.core.errors import Unavailable
from apps.core.lake import lake
from apps.pipelines.context import git_commit
from apps.predictions.models import Prediction
from apps.predictions.serving import load_bundle
from apps.predictions.versions import tables_version
from apps.registry import mirror
from ml.features import from_bytes, vector_sha256
from ml.lake import LakeError, ObjectMissing
from ml.scoring import BundleError, fingerprint
from ml.training.source import features_manifest

State = Literal["good", "open", "bad"]
EXPERIMENT = "Experiment"


@dataclass(frozen=True, slots=True)
class Link:
    """One arrow of the chain, looked up now. ``state``: good = it is what was claimed, open = it cannot be looked up here
    or has moved on since, bad = it is something else. ``facts``: (name, value); ``inside``: those among them, by name,
    that lie in the lake or are made of everybody's data, so that a blinded reader is not given them."""

    name: str
    state: State
    sentence: str
    facts: tuple[tuple[str, str], ...] = ()
    inside: frozenset[str] = frozenset()


def vector(prediction: Prediction) -> Link:
    """The stored vector against its digest."""
    found = vector_sha256(from_bytes(bytes(prediction.features)))
    same = found == prediction.features_sha256
    return Link(
        "vector",
        "good" if same else "bad",
        "The 120 stored values give the digest that was stored with them."
        if same
        else "The stored values do not give the digest that was stored with them.",
        (("SHA-256", prediction.features_sha256),),
    )


def model(prediction: Prediction) -> Link:
    """The model's files in the lake against the digest that was registered and signed for."""
    version = prediction.model_version
    facts = (
        ("Model", f"{version.name} version {version.version}"),
        ("State now", version.get_state_display()),
        ("Folder", version.bundle_path),
        ("Digest", version.digests.get("bundle", "")),
    )
    inside = frozenset({"Folder", "Digest"})
    try:
        load_bundle(version)
    except (BundleError, LakeError) as error:
        return Link("model", "bad", str(error), facts, inside)
    return Link("model", "good", "Its files are those that were registered and signed for.", facts, inside)


def run(prediction: Prediction) -> Link:
    """The training run in MLflow, with the data version that it was given."""
    version = prediction.model_version
    if not version.run_id:
        return Link("run", "open", "The version was registered without a run.")
    facts: tuple[tuple[str, str], ...] = (("Run", version.run_id),)
    try:
        found = mirror.run_of(version.run_id)
    except Unavailable as error:
        return Link("run", "open", f"{error.message} The run is told as the registry has it.", facts)
    if not found:
        return Link("run", "bad", "MLflow knows no such run.", facts)
    tags = found["tags"]
    facts += (
        ("Status", str(found["status"]).lower()),
        (EXPERIMENT, found["experiment"]),
        ("Data version by its tags", tags.get("data_version", "")),
        ("Code by its tags", tags.get("git_commit_hash", "")),
    )
    same = tags.get("data_version") == version.data_version
    return Link(
        "run",
        "good" if same else "bad",
        "MLflow has the run, with the data version that was registered."
        if same
        else "MLflow has the run, but with another data version than was registered.",
        facts,
        frozenset({"Data version by its tags"}),
    )


def data(prediction: Prediction) -> Link:
    """The manifest of the features the model was trained on."""
    version = prediction.model_version
    path = features_manifest(version.trial_id)
    facts: tuple[tuple[str, str], ...] = (("Data version", version.data_version), ("Manifest", path))
    inside = frozenset({"Data version", "Manifest", "Present data version", "Rows", "Partitions"})
    try:
        body = lake().get(path)
    except ObjectMissing:
        return Link("data", "open", "The lake holds no manifest of this trial's features now.", facts, inside)
    present = hashlib.sha256(body).hexdigest()
    if present != version.data_version:
        return Link(
            "data",
            "open",
            "The features were built anew since this model was trained; DVC keeps the version it was trained on.",
            (*facts, ("Present data version", present)),
            inside,
        )
    told: dict[str, Any] = orjson.loads(body)
    facts += (("Rows", f"{told['rows']:,}"), ("Partitions", f"{len(told['days']):,}"))
    return Link("data", "good", "The manifest in the lake is the one the model was trained on.", facts, inside)


@cache
def running_commit() -> str:
    """The commit of the code this process runs: that of its start, whatever lies in the folder since."""
    return git_commit()


def code(prediction: Prediction) -> Link:
    """The code that trained, the code that answered, and what runs now."""
    version = prediction.model_version
    same = prediction.fingerprint == fingerprint() and prediction.tables_version == tables_version()
    facts = (
        ("Commit that trained", version.git_commit),
        ("Commit that runs now", running_commit()),
        ("Fingerprint then", prediction.fingerprint),
        ("Fingerprint now", fingerprint()),
        ("Tables then", prediction.tables_version),
        ("Tables now", tables_version()),
        ("Study profile", f"version {prediction.profile_version.version}, {prediction.profile_version.digest}"),
    )
    sentence = (
        "The code, libraries, processor and tables that answered are those that run now: a replay must give every bit."
        if same
        else "Other code, libraries or tables run now than answered then; a replay says whether that changes anything."
    )
    return Link("code", "good" if same else "open", sentence, facts)


#: in the order of the walk
CHAIN: tuple[Callable[[Prediction], Link], ...] = (model, run, data, code)


def origin(prediction: Prediction) -> list[Link]:
    """The arrows from the model to its code, each looked up now."""
    return [look(prediction) for look in CHAIN]


def shown(link: Link, *, blinded: bool) -> list[tuple[str, str | None]]:
    """The facts of a link for a reader: None in place of what a blinded one is not given."""
    return [(name, None if blinded and name in link.inside else value) for name, value in link.facts]
