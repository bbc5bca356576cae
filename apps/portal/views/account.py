"""My account: who the platform takes me for, my roles, training and sessions."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from apps.accounts import selectors, services, training
from apps.accounts.models import TrainingRecord, User
from apps.core import clock
from apps.portal.presenters import people as present
from apps.portal.presenters import words
from apps.portal.views.base import SIGNED_IN, PortalView
from apps.portal.zones import zone


class Account(PortalView):
    """The page. Times in UTC: it belongs to no trial."""

    action = SIGNED_IN
    help_topic = "access"

    def get(self, request: HttpRequest) -> HttpResponse:
        user, where = cast("User", request.user), zone("UTC")
        rows = [present.grant_row(one, where) for one in selectors.grants_seen(user, [user], ended=True)]
        standing = training.standing_of(user)
        required = training.required_of(user)
        sessions = selectors.open_sessions(user)
        context = {
            "person": user,
            "grants": [row for row in rows if not row.ended],
            "over": [row for row in rows if row.ended],
            "courses": present.course_rows(standing, {one.role for one in selectors.grants_seen(user, [user])}),
            "records": [
                present.record_row(row)
                for row in TrainingRecord.objects.filter(user=user).select_related("corrected_by")
            ],
            "bars_signing": [standing[name].course.title for name in required if not standing[name].counts],
            "ending": [standing[name] for name in required if standing[name].state == "ending"],
            "sessions": present.session_rows(sessions, request.session.session_key or "", where),
            "zone_words": words.zone_words(clock.now(), where),
        }
        return self.page("portal/account.html", context)


class SessionsEnd(PortalView):
    """Ends one's other sessions, or one of them."""

    action = SIGNED_IN
    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        user = cast("User", request.user)
        asked = request.POST.get("handle", "")
        others = {
            one.handle
            for one in selectors.open_sessions(user)
            if one.key != request.session.session_key and asked in ("", one.handle)
        }
        count = services.close_sessions(by=user, user=user, handles=others)
        messages.success(
            request, f"{words.plural(count, 'session')} ended." if count else "There was no other session to end."
        )
        return redirect("portal:account")
