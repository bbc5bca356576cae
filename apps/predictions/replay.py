"""Replay: answer a past question again, from bronze alone, and compare every bit.

Reads of the past prediction only its id, patient, as-of time, watermark, model version and profile version; the stored
features and figures are looked at only to compare. The online window is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.core.lake import lake
from apps.ingestion.facts import facts_from_lines
from apps.patients.models import StudyProfileVersion
from apps.predictions.answering import Answer, Question, answer
from apps.predictions.models import Prediction
from apps.predictions.serving import Serving, load_bundle
from apps.registry.models import ModelVersion
from ml.features import compare, from_bytes
from ml.lake import LakeError
from ml.lake.bronze import BronzeLine, events_of_patients
from ml.profile import StudyProfile
from ml.scoring import BundleError, fingerprint

TOLERANCE = 1e-12
MOST_PATIENTS = 50
"""Patients whose events are held in memory at once."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`identical`, `equal within 1e-12 on another processor or build`, `different`, `not proven`
    (bronze or the model's files are not what was claimed or signed for) or `not replayable`, with details."""

    prediction: UUID
    verdict: str
    details: tuple[str, ...] = ()

    @property
    def proven(self) -> bool:
        return self.verdict.startswith(("identical", "equal"))


@dataclass(frozen=True, slots=True)
class Task:
    """All that a replay may know beforehand."""

    prediction: UUID
    question: Question
    model_version: UUID
    profile_version: UUID


def tasks(predictions: Iterable[UUID]) -> list[Task]:
    """Id, patient, watermark, as-of time and the versions that answered; nothing of the answer itself."""
    rows = Prediction.objects.filter(pk__in=list(predictions)).values_list(
        "pk", "patient_id", "as_of", "watermark", "model_version_id", "profile_version_id"
    )
    return [
        Task(pk, Question(patient, int(as_of.timestamp()), watermark), model, profile)
        for pk, patient, as_of, watermark, model, profile in rows
    ]


def answers_again(work: Sequence[Task]) -> Iterator[tuple[Task, Answer | str]]:
    """Each question answered once more, from claimed bronze objects and the model's bundle, both checked against their
    digests; where that cannot be, a sentence that says why."""
    verified: set[str] = set()
    groups: dict[tuple[UUID, UUID], list[Task]] = {}
    for task in work:
        groups.setdefault((task.model_version, task.profile_version), []).append(task)
    for (model, profile), members in groups.items():
        try:
            serving = _serving(model, profile)
        except (BundleError, LakeError) as error:
            yield from ((task, str(error)) for task in members)
            continue
        for round_ in _rounds(members):
            for task, lines in _events(round_, verified):
                if isinstance(lines, str):
                    yield task, lines
                else:
                    yield task, answer([task.question], facts_from_lines(lines, serving.profile), serving)[0]


def _events(tasks: Sequence[Task], verified: set[str]) -> Iterator[tuple[Task, list[BronzeLine] | str]]:
    """Each task's events, read together; where bronze is not whole, each alone, so that one loss spoils no other."""
    try:
        watermarks = {task.question.patient: task.question.watermark for task in tasks}
        found = events_of_patients(lake(), watermarks, verified=verified)
        yield from ((task, found.pop(task.question.patient)) for task in tasks)
    except LakeError as error:
        if len(tasks) == 1:
            yield tasks[0], str(error)
            return
        for task in tasks:
            yield from _events([task], verified)


def _rounds(members: Sequence[Task]) -> Iterator[list[Task]]:
    """Tasks in rounds in which no patient stands twice, so that bronze is read once a round and not once a task."""
    waiting = list(members)
    while waiting:
        seen: set[str] = set()
        chosen, later = list[Task](), list[Task]()
        for task in waiting:
            fits = task.question.patient not in seen and len(chosen) < MOST_PATIENTS
            (chosen if fits else later).append(task)
            seen.add(task.question.patient)
        yield chosen
        waiting = later


def replay(predictions: Iterable[UUID]) -> Iterator[Verdict]:
    """Replay and compare: features, probability, logit, level, contributions."""
    work = tasks(predictions)
    stored = {
        row.pk: row
        for row in Prediction.objects.filter(pk__in=[t.prediction for t in work]).select_related("not_replayable")
    }
    for task, again in answers_again(work):
        if isinstance(again, str):
            yield _unanswered(stored[task.prediction], again)
        else:
            yield _judge(stored[task.prediction], again)


def _serving(model: UUID, profile: UUID) -> Serving:
    version = ModelVersion.objects.get(pk=model)
    row = StudyProfileVersion.objects.get(pk=profile)
    return Serving(
        trial_id=version.trial_id,
        model_version=model,
        label=str(version),
        silent=False,
        bundle=load_bundle(version),
        profile=StudyProfile.from_json(row.body),
        profile_version=profile,
        stamp="replay",
    )


def _unanswered(before: Prediction, why: str) -> Verdict:
    if hasattr(before, "not_replayable"):
        return Verdict(before.pk, "not replayable", (before.not_replayable.reason,))
    return Verdict(before.pk, "not proven", (why,))


def _judge(before: Prediction, again: Answer) -> Verdict:
    if hasattr(before, "not_replayable"):
        return Verdict(before.pk, "not replayable", (before.not_replayable.reason,))
    details: list[str] = []
    if bytes(before.features) != again.features:
        difference = compare(from_bytes(bytes(before.features)), from_bytes(again.features))
        details.extend(str(line) for line in difference)
    if before.probability != again.probability:
        details.append(f"probability was {before.probability!r}, is {again.probability!r}")
    if before.logit != again.logit:
        details.append(f"logit was {before.logit!r}, is {again.logit!r}")
    if before.level != again.level:
        details.append(f"level was {before.level}, is {again.level}")
    if bytes(before.contributions or b"") != again.contributions:
        details.append("contributions differ")
    if not details:
        return Verdict(before.pk, "identical")
    close = (
        bytes(before.features) == again.features
        and before.level == again.level
        and before.fingerprint != fingerprint()
        and before.probability is not None
        and again.probability is not None
        and abs(before.probability - again.probability) <= TOLERANCE
    )
    if close:
        return Verdict(before.pk, "equal within 1e-12 on another processor or build", tuple(details))
    return Verdict(before.pk, "different", tuple(details))
