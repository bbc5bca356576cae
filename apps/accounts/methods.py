"""Which HTTP methods an address answers to: read from the view itself, and asked before anybody is asked who they are.

Django is generous: a page of the admin takes PUT or TRACE for GET, a form view takes PUT for POST, and every view answers
OPTIONS. Here a method that a view does not name is 405 with Allow, for everybody alike, so that the answer says nothing
about who asks. HEAD is GET without its body. OPTIONS is answered nowhere: no other origin may ask (there is no CORS), and
what an address takes stands in the Allow of a refusal. TRACE would only echo cookies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import Resolver404, resolve
from django.utils.deprecation import MiddlewareMixin

from apps.core import problems

#: Every method that the table of access speaks of.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
NEVER = frozenset({"OPTIONS", "TRACE"})
READ: tuple[str, ...] = ("GET", "HEAD")
FORM: tuple[str, ...] = ("GET", "HEAD", "POST")
#: Pages of Django's admin that only show something; every other page of it is a form. By the end of the name.
ADMIN_READS = (
    "index",
    "app_list",
    "_history",
    "jsi18n",
    "view_on_site",
    "autocomplete",
    "login",
    "password_change_done",
)
ADMIN_POSTS = ("logout",)

View = TypeVar("View", bound=Callable[..., Any])


def answers(*methods: str) -> Callable[[View], View]:
    """Says which methods a function view answers to; one that says nothing is a form."""

    def mark(view: View) -> View:
        view.http_methods = methods  # type: ignore[attr-defined]
        return view

    return mark


def methods_of(view: Any, name: str = "", namespace: str = "") -> tuple[str, ...]:
    """The methods a view answers to, in the order of METHODS. ``name`` and ``namespace`` as the address gives them."""
    if namespace == "admin":
        if name.endswith(ADMIN_READS):
            return READ
        return ("POST",) if name in ADMIN_POSTS else FORM
    kind = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if kind is None:
        return tuple(getattr(view, "http_methods", FORM))
    named = getattr(view, "view_initkwargs", {}).get("http_method_names", kind.http_method_names)
    taken = {method.upper() for method in named if hasattr(kind, method)} - NEVER
    if "GET" in taken and "head" in named:
        taken.add("HEAD")
    return tuple(method for method in METHODS if method in taken)


class MethodMiddleware(MiddlewareMixin):
    """405 with Allow for a method that the view does not answer to; from the API as a problem document."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        try:
            match = resolve(request.path_info, getattr(request, "urlconf", None))
        except Resolver404:
            return None
        allowed = methods_of(match.func, match.url_name or "", match.namespace)
        if request.method in allowed:
            return None
        if getattr(match.func, "cls", None) is None:
            return HttpResponseNotAllowed(allowed)
        error = problems.MethodNotAllowed(
            f"Method {request.method} is not meant here.", cure="See the allowed methods in the Allow header."
        )
        answer = problems.response_for(request, error)
        answer.headers["Allow"] = ", ".join(allowed)
        return answer
