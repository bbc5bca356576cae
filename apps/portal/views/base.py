"""The base of every page: who may see it, in which trial, and how an error is told."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar, cast
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views import View

from apps.accounts import permissions
from apps.accounts.models import User
from apps.core.errors import DomainError, Malformed, NotFound
from apps.patients.models import Trial
from apps.portal.frame import frame
from apps.portal.viewer import Viewer, viewer_of

#: Instead of a permission: a page for anyone, a page for anyone signed in.
PUBLIC = "public"
SIGNED_IN = "signed_in"


class PortalView(View):
    """A page or a part of one.

    ``action`` is a row of ``accounts.permissions`` (asked for the trial in the address), PUBLIC or SIGNED_IN. A class
    without one cannot even be imported, so nothing is open by being forgotten. ``help_topic`` is the part of the help page
    that speaks of it. Pages are never stored by a cache.
    """

    # Only what a form needs; any other method is 405 before anybody is asked who they are (apps.accounts.methods).
    http_method_names = ["get", "head", "post"]
    action: ClassVar[str] = ""
    section: ClassVar[str] = ""
    help_topic: ClassVar[str] = ""
    viewer: Viewer

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.action not in {PUBLIC, SIGNED_IN, *permissions.PERMISSIONS}:
            raise TypeError(f"{cls.__name__} must say which permission it needs: action = one of accounts.permissions.")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            if self.action != PUBLIC and not request.user.is_authenticated:
                return to_sign_in(request)
            if self.action not in (PUBLIC, SIGNED_IN) and "trial" not in kwargs:
                permissions.check(request.user, self.action, trial=None)  # a page of the platform as a whole
            elif self.action not in (PUBLIC, SIGNED_IN):
                trial_id = kwargs["trial"]
                _readable(request, kwargs)
                self._admit(request, trial_id)
                self.viewer = viewer_of(cast("User", request.user), trial_id)
            response = super().dispatch(request, *args, **kwargs)
        except (permissions.OutOfSight, NotFound) as error:
            response = error_page(request, self._unseen(error, kwargs), trial_id=kwargs.get("trial", ""))
        except DomainError as error:
            response = error_page(request, error, trial_id=kwargs.get("trial", ""))
        response.headers["Cache-Control"] = "no-store"
        return response

    def _admit(self, request: HttpRequest, trial_id: str) -> None:
        """The trial's door. Where an action is about one site, a role at any site that may do it opens the door; the
        view then asks for the site of what it shows."""
        of_a_site = permissions.PERMISSIONS[self.action].scope == "site"
        if not (of_a_site and permissions.may_somewhere(request.user, self.action, trial=trial_id)):
            permissions.check(request.user, self.action, trial=trial_id)

    def _unseen(self, error: DomainError, kwargs: dict[str, Any]) -> DomainError:
        """What is not there and what is at another site, in the same words: an answer tells no one what exists."""
        if self.action in permissions.PERMISSIONS and permissions.PERMISSIONS[self.action].scope != "site":
            return error
        if "patient" in kwargs:
            return NotFound(
                f"There is no patient {kwargs['patient']} in trial {kwargs['trial']} that you may see.",
                cure="Check the identifier; patients of other sites are seen by the people of those sites.",
            )
        return NotFound("There is nothing at this address that you may see.", cure="Check the address.")

    def page(self, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
        """The template with the frame around it; parts asked for by the page's script have no frame."""
        viewer = getattr(self, "viewer", None)
        if viewer is not None:
            context = {
                "viewer": viewer,
                "frame": frame(
                    viewer.user, viewer.trial, section=self.section, topic=self.help_topic, blinded=viewer.blinded
                ),
            } | context
        elif self.request.user.is_authenticated:
            context = {"frame": frame(self.request.user, None, topic=self.help_topic)} | context
        return render(self.request, template, context, status=status)

    def part(self, template: str, context: dict[str, Any]) -> HttpResponse:
        """A part of a page, drawn by the same partial as the page itself."""
        return render(self.request, template, {"viewer": self.viewer} | context)


def _readable(request: HttpRequest, kwargs: dict[str, Any]) -> None:
    """No database text holds a NUL: an address with one is refused here, once."""
    if any("\x00" in str(value) for value in (*kwargs.values(), *request.GET.values())):
        raise Malformed("The address holds a character that no name has.", cure="Check it and try again.")


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in page and back here afterwards; a part of a page sends the whole page there."""
    target = f"{reverse('portal:sign_in')}?{urlencode({'next': request.get_full_path()})}"
    if request.headers.get("HX-Request"):
        answer = HttpResponse(status=401)
        answer.headers["HX-Redirect"] = reverse("portal:sign_in")
        return answer
    return redirect(target)


def error_page(request: HttpRequest, error: DomainError, *, trial_id: str = "") -> HttpResponse:
    """The error in words, with its status and what to do about it, within the trial where the person has a role in it."""
    context: dict[str, Any] = {
        "title": error.title,
        "message": error.message,
        "cure": error.cure,
        "status_code": error.status,
        "again": error.status >= HTTPStatus.TOO_MANY_REQUESTS,
    }
    if request.user.is_authenticated:
        seen = trial_id in permissions.visible_trials(request.user)
        trial = Trial.objects.filter(pk=trial_id).first() if seen else None
        context["frame"] = frame(request.user, trial)
    return render(request, "portal/error.html", context, status=error.status)
