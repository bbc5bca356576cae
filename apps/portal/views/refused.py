"""Dead letters: what was refused and why, its raw bytes, and the way back in after a fix."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from apps.accounts import permissions
from apps.audit.actors import Actor
from apps.core import spreadsheet
from apps.core.errors import Forbidden, Invalid, NotFound
from apps.core.lake import lake
from apps.ingestion import cures, refused, services
from apps.ingestion.models import DeadLetter
from apps.patients import selectors as patients
from apps.portal.presenters import refused as present
from apps.portal.presenters import words
from apps.portal.presenters.pager import page_of
from apps.portal.views.base import PortalView
from ml.contracts import TOPICS
from ml.lake import LakeError
from ml.lake.claims import Chain, claim_of

PAGE = 50
AT_ONCE = 500
"""Letters judged or sent by one press of a button."""
MOST_ROWS = 50_000
STATES = {refused.OPEN: "Open", refused.REPLAYED: "Replayed"}
FIELDS = ("reason", "topic", "site", "state", "since", "until", "q")


class RefusedView(PortalView):
    """What the pages share. Raw messages may hold anything, an arm too: whoever is blinded in the trial sees none."""

    action = "view_data_quality"
    section = "portal:refused"
    help_topic = "refused"

    def _admit(self, request: HttpRequest, trial_id: str) -> None:
        super()._admit(request, trial_id)
        if patients.is_blinded(request.user, trial_id):  # type: ignore[arg-type]
            raise Forbidden(
                "You hold a blinded role in this trial, and raw messages may tell who is in which arm.",
                cure="Ask somebody without a blinded role to look.",
                code="blinded",
            )

    def may(self, action: str) -> bool:
        """Whether the viewer may do it in this trial."""
        return permissions.may(self.viewer.user, action, trial=self.viewer.trial)

    def letters(self) -> Any:
        """Dead letters of this trial, and for who is here for every trial those of none."""
        platform = permissions.may(self.viewer.user, "view_platform_letters", trial=None)
        return refused.letters(self.viewer.trial.pk, platform=platform)

    def chosen(self, request: HttpRequest) -> refused.Filter:
        """The filter in the address; what cannot be read is left out."""
        given = {name: request.GET.get(name, "")[:100].strip() for name in FIELDS}
        state = given["state"] if given["state"] in STATES else ""
        until = self._day(given["until"])
        return refused.Filter(
            reason=given["reason"],
            topic=given["topic"] if given["topic"] in TOPICS else "",
            site=given["site"],
            state=state,
            since=self._day(given["since"]),
            until=until + timedelta(days=1) if until else None,
            text=given["q"],
        )

    def _day(self, text: str) -> datetime | None:
        try:
            return datetime.combine(date.fromisoformat(text), time(), self.viewer.zone)
        except ValueError:
            return None

    def bar(self, request: HttpRequest, reasons: list[tuple[str, str]], **more: Any) -> dict[str, Any]:
        """The filter bar and what it is set to."""
        given = {name: request.GET.get(name, "") for name in FIELDS}
        return {
            "given": given,
            "query": urlencode({name: value for name, value in given.items() if value}),
            "narrowed": any(given.values()),
            "reasons": reasons,
            "topics": TOPICS,
            "states": STATES.items(),
            "zone": words.zone_words(self.viewer.now, self.viewer.zone),
            **more,
        }

    def counts(self) -> dict[str, Any]:
        """What stands on the tabs."""
        return {
            "open_letters": self.letters().filter(replayed_at__isnull=True).count(),
            "aside": refused.quarantined(self.viewer.trial.pk).count(),
            "may_replay": self.may("replay_dead_letter"),
            "may_run": self.may("run_job"),
        }

    def csv(self, name: str, lines: Iterable[str]) -> HttpResponse:
        """A file of rows to be saved."""
        answer = HttpResponse("".join(lines), content_type="text/csv; charset=utf-8")
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}-{self.viewer.trial.pk}.csv"'
        return answer


class Refused(RefusedView):
    """The dead letters, with how many fell under which rule; on request each is judged by the contract of today."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        every = self.letters()
        rows = refused.narrow_letters(every, self.chosen(request))
        shown, pager = page_of(rows, request, PAGE, "message")
        checked = "check" in request.GET
        tally = refused.reasons(rows)
        return self.page(
            "portal/refused.html",
            {
                "rows": [
                    present.letter(
                        row, self.viewer, refused.judge(row) if checked and row.replayed_at is None else None
                    )
                    for row in shown
                ],
                "pager": pager,
                "checked": checked,
                "tally": [(cures.of_contract(one.value).title, one) for one in tally],
                "by_topic": refused.tally(rows, "topic"),
                "by_site": refused.tally(rows, "site_said"),
                "sites": [one.value for one in refused.tally(every, "site_said")],
                **self.bar(
                    request, [(one.value, cures.of_contract(one.value).title) for one in refused.reasons(every)]
                ),
                **self.counts(),
            },
        )


class RefusedCsv(RefusedView):
    """The filtered list as CSV, without the raw bytes."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        rows = refused.narrow_letters(self.letters(), self.chosen(request))[:MOST_ROWS]
        header = (
            "topic", "topic_id", "partition", "offset", "received_utc", "rules", "first_reason", "trial", "site", "patient",
            "producer", "correlation_id", "replayed_utc", "replayed_by",
        )  # fmt: skip
        return self.csv(
            "refused",
            spreadsheet.lines(
                header,
                (
                    (
                        row.topic, row.topic_id, row.partition, row.offset, utc(row.received_at),
                        " ".join(str(one.get("rule")) for one in row.reasons),
                        row.reasons[0].get("message", "") if row.reasons else "", row.trial_said, row.site_said,
                        row.patient_said, row.producer_said, row.correlation_id, utc(row.replayed_at), row.replayed_by,
                    )
                    for row in rows.iterator(chunk_size=1000)
                ),
            ),
        )  # fmt: skip


def utc(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class LetterView(RefusedView):
    """One dead letter."""

    def letter(self, pk: UUID) -> Any:
        """The letter. Raises NotFound for one that is not the viewer's to see."""
        found = self.letters().filter(pk=pk).first()
        if found is None:
            raise NotFound("There is no such refused message in this trial.", cure="Go back to the list.")
        return found


class Letter(LetterView):
    """Raw bytes beside the reasons, what would mend it, and what became of it."""

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        row = self.letter(pk)
        verdict = refused.judge(row)
        return self.page(
            "portal/letter.html",
            {
                "row": present.letter(row, self.viewer),
                "reasons": present.reasons(row),
                "dump": present.dump(bytes(row.raw)),
                "facts": present.facts(row, self.viewer),
                "headers": present.headers(row),
                "kept_in": _kept_in(row),
                "passes": verdict.passes,
                "why": present.readable(verdict.why),
                "outcome": present.outcome(row, self.viewer),
                "may_replay": self.may("replay_dead_letter"),
            },
        )


def _kept_in(row: DeadLetter) -> dict[str, str]:
    """The object of the archive that holds it, looked up by its claim."""
    try:
        claim = claim_of(lake(), Chain(row.topic, row.topic_id, row.partition), row.offset)
    except (LakeError, OSError) as error:
        return {"fault": str(error)}
    return {"object": claim.dead_object or "", "sha256": claim.dead_sha256 or ""} if claim else {}


class LetterRaw(LetterView):
    """The raw bytes as they came, as a download that no browser opens."""

    def get(self, request: HttpRequest, trial: str, pk: UUID) -> HttpResponse:
        row = self.letter(pk)
        answer = HttpResponse(bytes(row.raw), content_type="application/octet-stream")
        name = f"{row.topic}-{row.partition}-{row.offset}.bin"
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer


class RefusedReplay(RefusedView):
    """Send again what passes now: first shown, message by message, then done."""

    action = "replay_dead_letter"

    def wanted(self, request: HttpRequest) -> Any:
        """The open letters chosen one by one, else those of the filter; at most AT_ONCE, oldest first."""
        rows = self.letters().filter(replayed_at__isnull=True)
        if ids := request.GET.getlist("id"):
            return rows.filter(pk__in=uuids(ids)).order_by("id")[:AT_ONCE]
        return refused.narrow_letters(rows, self.chosen(request)).order_by("id")[:AT_ONCE]

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        rows = list(self.wanted(request))
        judged = [(row, refused.judge(row)) for row in rows]
        passing = [present.letter(row, self.viewer, verdict) for row, verdict in judged if verdict.passes]
        return self.page(
            "portal/refused_replay.html",
            {
                "passing": passing,
                "others": [present.letter(row, self.viewer, verdict) for row, verdict in judged if not verdict.passes][
                    :50
                ],
                "left": len(rows) - len(passing),
                "looked_at": len(rows),
                "cut": len(rows) == AT_ONCE,
                "at_once": AT_ONCE,
            },
        )

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        ids = uuids(request.POST.getlist("id"))[:AT_ONCE]
        rows = list(self.letters().filter(pk__in=ids).order_by("id"))
        if not rows:
            raise Invalid("No message was chosen.", cure="Go back and choose at least one.", code="nothing_chosen")
        done = services.replay_dead_letters(
            by=Actor.person(self.viewer.user),
            letters=rows,
            default_trial=settings.DEFAULT_TRIAL_ID,
            reason=request.POST.get("reason", "").strip()[:500],
            trial=trial,
        )
        sent, left = len(done.sent), len(done.left)
        if sent:
            messages.success(request, f"{words.plural(sent, 'message')} handed to the outbox, to be sent again as new.")
        if left:
            first = next(iter(done.left.values()))
            messages.error(request, f"{words.plural(left, 'message')} not sent again. The first: {first}")
        if len(rows) == 1:
            return redirect(reverse("portal:letter", args=[trial, rows[0].pk]))
        return redirect(reverse("portal:refused", args=[trial]) + "?state=replayed")


def uuids(texts: list[str]) -> list[UUID]:
    found = []
    for text in texts:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found
