"""The jobs, as a table: what a job is called, what it does and in which steps.

A step is either a command (a program started by name: Spark and PyTorch never run inside a worker) or a call (a plain
function, named as "module:function"). Both take named inputs from the run's context and give named outputs back to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

Context = dict[str, Any]
Report = Callable[[str, int, int], None]
"""report(what is being done, done, of)"""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `weight` is its share of the progress bar; `inputs` are context names it needs (missing = an error)."""

    name: str
    sentence: str
    module: str = ""
    """A command: `python -m <module>`, with `options` of the context as --name value."""
    call: str = ""
    """A call: "package.module:function", called as function(context, report) -> outputs."""
    arguments: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    weight: int = 1
    may_lack: bool = False
    """Whether there may be too little data for it: the run then goes on, and says what was not done and why."""
    needs: tuple[str, ...] = ()
    """Outputs of earlier steps without which this one is not done."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job."""

    name: str
    label: str
    sentence: str
    steps: tuple[Step, ...]
    queue: str = "pipelines"
    needs_trial: bool = True


SPARK = ("lake", "lake-options", "master", "profiles")
CLEAN = Step(
    "clean",
    "Bronze is cleaned into silver",
    module="spark_jobs",
    arguments=("clean",),
    options=(*SPARK, "default-trial"),
    weight=5,
)
QUARANTINE = Step(
    "quarantine", "What was set aside is shown in the portal", call="apps.ingestion.quarantine:mirror", weight=1
)
CLEAN_AGAIN = replace(CLEAN, sentence="Chosen days are cleaned again", options=(*CLEAN.options, "again"))
FEATURES = Step(
    "features",
    "120 features a patient-day, as they were known then",
    module="spark_jobs",
    arguments=("features",),
    options=(*SPARK, "trial"),
    weight=5,
)
FEATURES_OF_A_PERIOD = replace(
    FEATURES,
    sentence="Features of the days asked for, as they were known then",
    options=(*FEATURES.options, "from", "to"),
)
LABELS = Step(
    "labels",
    "What happened, as known by now",
    module="spark_jobs",
    arguments=("labels",),
    options=(*SPARK, "trial", "as-of"),
    weight=2,
)
TRAINING = ("epochs", "learning-rate", "batch-size", "dropout-rate", "start-date", "end-date")
"""What a person may choose of a training run; left out, the program's own values hold."""
TRAIN = Step(
    "train",
    "The model is trained and evaluated",
    module="ml.training",
    options=(
        "lake",
        "lake-options",
        "trial",
        "profile",
        "mlflow-uri",
        "model-name",
        "seed",
        "git-commit",
        "hazard",
        *TRAINING,
    ),
    weight=6,
)
COMPARE_TWO = Step(
    "compare",
    "Both versions score what neither has learned from",
    module="ml.comparison",
    options=("lake", "lake-options", "trial", "profile", "one", "two", "one-name", "two-name"),
)
KEEP = Step("keep", "The data version is kept", call="apps.pipelines.data_versions:keep")
QUALITY = Step("quality", "What lies in the lake is held against its limits", call="apps.pipelines.quality:check")
REGISTER = Step("register", "The version is registered with its gates", call="apps.registry.steps:register", weight=1)
PREDICT_DAYS = Step("predict", "One prediction a patient-day", call="apps.predictions.batch:predict_days", weight=3)

SIGN_DEMO = Step(
    "sign", "On a demonstration the demo's approvers sign", call="apps.registry.steps:sign_on_demo", weight=1
)
COUNT_CLEAN = Step("count", "What was cleaned is counted", call="apps.monitoring.steps:count_cleaning", weight=1)
COUNT_FEATURES = Step("count", "New feature rows are counted", call="apps.monitoring.steps:count_features", weight=1)
COMPARE = Step(
    "compare", "The candidate is compared with what serves", call="apps.monitoring.steps:compare_with_serving", weight=1
)
MONITOR = Step("monitor", "Model, data and platform are looked at", call="apps.monitoring.steps:check", weight=1)
AUDIT_EXPORT = Step("export", "The trail is written with its proof", call="apps.audit.steps:export", weight=1)
AUDIT_VERIFY = Step("verify", "Every record, root and anchor is verified", call="apps.audit.steps:verify", weight=1)
SHOW = Step("show", "Patients' records and online windows", call="apps.ingestion.steps:show", weight=3)

JOBS: dict[str, Job] = {
    job.name: job
    for job in (
        Job(
            "clean",
            "Clean",
            "Cleans what has newly arrived in bronze: units, versions, limits, quarantine.",
            (CLEAN, COUNT_CLEAN, QUARANTINE),
            needs_trial=False,
        ),
        Job(
            "clean_again",
            "Clean again",
            "Judges every message of chosen days once more, quarantined ones among them.",
            (CLEAN_AGAIN, COUNT_CLEAN, QUARANTINE),
            needs_trial=False,
        ),
        Job(
            "features",
            "Features",
            "Builds the features and labels of every patient-day of a trial.",
            (FEATURES, COUNT_FEATURES, LABELS, KEEP),
        ),
        Job(
            "backfill",
            "Feature backfill",
            "Builds the features of some days again; the other days stay as they are.",
            (FEATURES_OF_A_PERIOD, COUNT_FEATURES, LABELS, KEEP),
        ),
        Job(
            "compare",
            "Comparison",
            "Compares two model versions on patients that neither has learned from.",
            (COMPARE_TWO,),
        ),
        Job(
            "quality",
            "Quality check",
            "Holds bronze, dead letters, quarantine and the age of every topic against their limits.",
            (QUALITY,),
            needs_trial=False,
        ),
        Job(
            "train",
            "Training",
            "Trains, evaluates and registers a candidate, and compares it with what serves.",
            (TRAIN, REGISTER, COMPARE),
        ),
        Job(
            "pipeline",
            "Whole pipeline",
            "From bronze to a registered candidate, compared with what serves.",
            (CLEAN, COUNT_CLEAN, QUARANTINE, FEATURES, COUNT_FEATURES, LABELS, KEEP, TRAIN, REGISTER, COMPARE),
        ),
        Job(
            "study",
            "Imported study",
            "From bronze to the predictions of a finished trial.",
            (
                CLEAN,
                COUNT_CLEAN,
                QUARANTINE,
                SHOW,
                replace(FEATURES, may_lack=True),
                replace(COUNT_FEATURES, needs=("data_version",)),
                replace(LABELS, needs=("data_version",)),
                replace(KEEP, needs=("data_version",)),
                replace(TRAIN, needs=("data_version",), may_lack=True),
                replace(REGISTER, needs=("bundle_path",)),
                replace(SIGN_DEMO, needs=("version",)),
                replace(PREDICT_DAYS, needs=("data_version",)),
            ),
        ),
        Job("monitor", "Monitoring", "Looks whether the model is still right and the data are still as in training.", (MONITOR,)),
        Job(
            "audit_export",
            "Audit export",
            "Writes the sealed audit trail so that a stranger can verify it.",
            (AUDIT_EXPORT,),
            queue="default",
            needs_trial=False,
        ),
        Job(
            "audit_verify",
            "Audit verification",
            "Verifies the whole audit trail against its seals, signatures and anchors.",
            (AUDIT_VERIFY,),
            queue="default",
            needs_trial=False,
        ),
        Job("predict_days", "Predictions of a finished trial", "One prediction a patient-day.", (PREDICT_DAYS,)),
    )
}  # fmt: skip
