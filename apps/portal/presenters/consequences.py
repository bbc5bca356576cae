"""What publishing a profile would change, computed on the trial's own data before anybody presses the button."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from apps.patients.models import StudyProfileVersion
from apps.portal import study_selectors as read
from apps.portal.presenters import profile_words, words
from apps.portal.viewer import Viewer
from apps.registry import gates, selectors
from ml.profile import LEVELS, StudyProfile

#: worst first, as on the board
STANDS = (*reversed(LEVELS), "INDETERMINATE", read.UNKNOWN)
STAND_WORDS = {name: name.capitalize() for name in STANDS} | {read.UNKNOWN: "Scored anew, level not known yet"}


@dataclass(frozen=True, slots=True)
class LevelCount:
    """How many patients stand in one level now and would stand there."""

    level: str
    word: str
    before: int
    after: int
    change: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One consequence: ``tone`` plain, stale (weigh it) or error (it will hurt)."""

    title: str
    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Consequences:
    """Everything the preview says beside the differences themselves."""

    levels: list[LevelCount]
    moved: str
    scored: int
    sentences: list[Sentence]


def consequences(
    viewer: Viewer, old: StudyProfile, new: StudyProfile, versions: Sequence[StudyProfileVersion]
) -> Consequences:
    """What the present patients, labels and model would see of ``new`` in place of ``old``."""
    newest = read.newest_predictions(viewer)
    before, after = read.stored_levels(newest, old), read.levels_under(newest, old, new)
    counts, would = Counter(before), Counter(after)
    levels = [
        LevelCount(name.lower(), STAND_WORDS[name], counts[name], would[name], _change(counts[name], would[name]))
        for name in STANDS
        if name != read.UNKNOWN or counts[name] or would[name]
    ]
    sentences = [*_labels(viewer, old, new), *_model(viewer, new, versions), *_blinding(viewer, old, new)]
    if old.replay_date != new.replay_date:
        sentences.append(
            Sentence("The study's now moves", "Every page, and every job, takes the new moment for now.", "stale")
        )
    return Consequences(levels, _moved(before, after), len(before), sentences)


def _change(before: int, after: int) -> str:
    return "no change" if before == after else f"{'+' if after > before else words.MINUS}{abs(after - before)}"


def _moved(before: list[str], after: list[str]) -> str:
    if not before:
        return "Nobody has been scored yet, so nobody moves."
    moves = Counter((one, other) for one, other in zip(before, after, strict=True) if one != other)
    if not moves:
        return f"All {words.plural(len(before), 'scored patient')} keep their level."
    told = [
        f"{count} from {STAND_WORDS[one].lower()} to {STAND_WORDS[other].lower()}"
        for (one, other), count in sorted(moves.items(), key=lambda item: (-item[1], item[0]))
    ]
    stay = len(before) - sum(moves.values())
    return f"{words.plural(stay, 'patient')} of {len(before)} keep their level; {', '.join(told)}."


def _labels(viewer: Viewer, old: StudyProfile, new: StudyProfile) -> list[Sentence]:
    was, will = read.ripe_days(viewer, old, new)
    change = "" if was == will else f", {_change(was, will)}"
    tone = "stale" if will < was else "plain"
    text = f"{was:,} patient-days have a label that counts now; with this profile {will:,}{change}."
    if will == 0 and was:
        text += " Training would find nothing to learn from."
        tone = "error"
    return [Sentence("What training can learn from", text, tone)]


def _model(viewer: Viewer, new: StudyProfile, versions: Sequence[StudyProfileVersion]) -> list[Sentence]:
    serving = selectors.serving(viewer.trial)
    if serving is None:
        return [Sentence("No model serves", "The profile counts for the first model that is trained.")]
    metrics, name = serving.version.metrics, f"Model {serving.version.version}"
    found = read.version_of(versions, str(metrics.get("profile_digest", "")))
    told: list[Sentence] = []
    if found is None:
        told.append(
            Sentence(f"{name} serves", "Its training names a profile that is none of this trial's versions.", "stale")
        )
    else:
        told.append(_trained(name, found, new))
    verdicts = gates.judge(new, metrics)
    if gates.passed(verdicts):
        told.append(Sentence("Gates", f"{name}'s figures meet the gates of this profile."))
    else:
        told.append(
            Sentence(
                "Gates",
                f"{name}'s figures would not meet this profile's gates ({gates.failures(verdicts)}). It goes on serving as "
                "it was released; the next version is judged by these.",
                "stale",
            )
        )
    return told


def _trained(name: str, found: StudyProfileVersion, new: StudyProfile) -> Sentence:
    trained = StudyProfile.from_json(found.body)
    binding = [
        row
        for row in profile_words.differences(trained, new)
        if row.effect in (profile_words.RETRAIN, profile_words.REBUILD)
    ]
    if not binding:
        text = f"It was trained under version {found.version}, which differs from this profile in nothing that training reads."
        return Sentence(f"{name} serves and fits", text)
    listed = "; ".join(f"{row.label.lower()} {row.old}, here {row.new}" for row in binding)
    text = f"It was trained under version {found.version} ({listed}). Until a model trained under this profile is released, its "
    text += "scores keep their old meaning while the pages use these numbers: start a training after publishing."
    return Sentence(f"{name} was trained under another profile", text, "error")


def _blinding(viewer: Viewer, old: StudyProfile, new: StudyProfile) -> list[Sentence]:
    if old.blinded == new.blinded:
        return []
    people = words.plural(read.people_of(viewer.trial, "").blinded, "person", "people")
    if old.blinded:
        return [
            Sentence(
                "This unblinds the study",
                f"{people} in blinded roles receive arms, and names and amounts of study doses, from their next page on. "
                "What has been seen cannot be unseen.",
                "error",
            )
        ]
    return [
        Sentence("This blinds the study", f"{people} in blinded roles no longer receive what reveals the arm.", "stale")
    ]
