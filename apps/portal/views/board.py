"""The risk board, and the rows of it that changed."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from apps.accounts import permissions
from apps.portal import selectors
from apps.portal.presenters import board as present
from apps.portal.presenters import filters as present_filters
from apps.portal.presenters.status import status
from apps.portal.views.base import SIGNED_IN, PortalView

#: Predictions committed while a page was drawn may bear an earlier time than the page: ask back this far.
OVERLAP = timedelta(seconds=5)


class Home(PortalView):
    """The first trial the person may see: the default one where they may."""

    action = SIGNED_IN

    def get(self, request: HttpRequest) -> HttpResponse:
        from django.conf import settings

        trials = permissions.visible_trials(request.user)
        if not trials and permissions.may(request.user, "manage_trials", trial=None):
            return redirect("portal:study_new")
        if not trials:
            may_import = permissions.may(request.user, "import_new_study", trial=None)
            return self.page("portal/no_role.html", {"may_import": may_import})
        chosen = settings.DEFAULT_TRIAL_ID if settings.DEFAULT_TRIAL_ID in trials else trials[0]
        name = "portal:board" if permissions.may(request.user, "view_board", trial=chosen) else "portal:model"
        return redirect(name, trial=chosen)


class Board(PortalView):
    """The whole board."""

    action = "view_board"
    section = "portal:board"
    help_topic = "board"

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        viewer = self.viewer
        filters = present.Filters.read(request.GET.dict())
        rows = selectors.board_rows(viewer, site=filters.site, query=filters.query)
        ends = present.ends(rows, viewer, present.drawn(rows, viewer, filters))
        samples = selectors.sparks(viewer, ends, present.span_of(viewer))
        action = reverse("portal:board", args=[trial])
        board = present.board(
            rows, viewer, filters, samples, action=action, changes=reverse("portal:board_changes", args=[trial])
        )
        newest, gap = selectors.pace(trial)
        serving = selectors.serving_version(trial)
        return self.page(
            "portal/board.html",
            {
                "board": board,
                "filters": present_filters.bar(filters, selectors.sites(viewer), viewer, action),
                "serving": serving,
                "status": status(
                    viewer,
                    newest=newest,
                    gap=gap,
                    silent=serving is not None and serving.state == "silent",
                    socket=f"/ws/trials/{quote(trial)}/" if viewer.live else "",
                    side=f"Model {serving.version}, {serving.get_state_display().lower()}"
                    if serving
                    else "No model serves this trial yet",
                ),
            },
        )


class Changes(PortalView):
    """The rows whose newest prediction was made after ``since``, drawn by the board's own partial."""

    action = "view_board"

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        viewer = self.viewer
        filters = present.Filters.read(request.GET.dict())
        since = _moment(request.GET.get("since", ""))
        rows = selectors.board_rows(viewer, site=filters.site, query=filters.query)
        visible = set(present.drawn(rows, viewer, filters))
        changed = [
            row for row in rows if row.created_at is not None and (since is None or row.created_at > since - OVERLAP)
        ]
        wanted = [row.key for row in changed if row.key in visible]
        samples = selectors.sparks(viewer, present.ends(rows, viewer, wanted), present.span_of(viewer))
        board = present.board(
            rows,
            viewer,
            filters,
            samples,
            action=reverse("portal:board", args=[trial]),
            changes=reverse("portal:board_changes", args=[trial]),
        )
        gone = " ".join(present.slug(row.patient_id) for row in changed if row.key not in visible)
        return self.part(
            "portal/board_changes.html",
            {"board": board, "counts": present.lane_counts(rows, viewer, filters), "gone": gone},
        )


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
