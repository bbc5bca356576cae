"""Model versions in the admin: everything to read, and the desk where two people sign."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from apps.accounts.desk import ReadOnlyAdmin, VisibleTrials, ask_reason, spoken
from apps.accounts.models import User
from apps.accounts.permissions import check, may
from apps.core.errors import DomainError
from apps.registry import selectors, services
from apps.registry.evidence import signed_hash, signed_text
from apps.registry.models import ModelVersion
from apps.registry.states import BY_MOVE, SIGNATURES_NEEDED


class SignForm(forms.Form):
    """The password again, and the hash of the text that was shown."""

    password = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}), strip=False, label="Your password"
    )
    expected_hash = forms.CharField(widget=forms.HiddenInput)


MOST_LINES = 30


@admin.register(ModelVersion)
class ModelVersionDesk(ReadOnlyAdmin):
    """Versions with their evidence; *Sign* and *Reject* open where the state and the person's role allow it."""

    trial_path = "trial"
    list_display = ("__str__", "trial_id", "state", "gates_passed", "simulated", "created_at", "signatures")
    list_filter = (("trial", VisibleTrials), "state")
    exclude = ("metrics", "gates", "digests", "release_plan")
    readonly_fields = ("verdicts", "evaluation", "bundle", "plan", "history", "signed")
    change_form_template = "admin/registry/modelversion/change_form.html"

    @admin.display(description="Signatures")
    def signatures(self, version: ModelVersion) -> int:
        return version.approvals.count()

    @admin.display(description="Gates")
    def verdicts(self, version: ModelVersion) -> str:
        rows = ((row["outcome"], row["sentence"], row["reason"]) for row in version.gates)
        return format_html("<ul>{}</ul>", format_html_join("", "<li><strong>{}</strong> {}: {}</li>", rows))

    @admin.display(description="Evaluation")
    def evaluation(self, version: ModelVersion) -> str:
        page = reverse("portal:model_version", args=[version.trial_id, version.version])
        return format_html('<p><a href="{}">The evaluation as a page</a></p>{}', page, _json(version.metrics))

    @admin.display(description="Files and their SHA-256")
    def bundle(self, version: ModelVersion) -> str:
        return _json(version.digests)

    @admin.display(description="Release plan")
    def plan(self, version: ModelVersion) -> str:
        return _json(version.release_plan)

    @admin.display(description="History")
    def history(self, version: ModelVersion) -> str:
        rows = ((f"{row.at:%Y-%m-%d %H:%M:%S} UTC", row, row.by, row.reason) for row in selectors.history(version))
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{} {} by {} {}</li>", rows))

    @admin.display(description="Signed by")
    def signed(self, version: ModelVersion) -> str:
        rows = ((row, row.signed_hash) for row in selectors.approvals(version))
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}<br><code>{}</code></li>", rows))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        version: ModelVersion | None = kwargs.get("obj")
        if version is not None:
            context["ways"] = _ways(request, version)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        def view(page: Any) -> Any:
            return self.admin_site.admin_view(spoken(page))

        return [
            path("<uuid:pk>/sign/", view(self.sign), {"as_silent": False}, name="registry_modelversion_sign"),
            path(
                "<uuid:pk>/sign-silent/", view(self.sign), {"as_silent": True}, name="registry_modelversion_sign_silent"
            ),
            path("<uuid:pk>/reject/", view(self.reject), name="registry_modelversion_reject"),
            path("<uuid:pk>/roll-back/", view(self.roll_back), name="registry_modelversion_roll_back"),
            path("<uuid:pk>/retire/", view(self.retire), name="registry_modelversion_retire"),
            *super().get_urls(),
        ]

    @method_decorator(sensitive_post_parameters("password"))
    @method_decorator(never_cache)
    def sign(self, request: HttpRequest, pk: Any, as_silent: bool) -> HttpResponse:
        """Show exactly what a signature would bind, and take it."""
        version = self._found(request, pk, "sign_model")
        text = signed_text(version, as_silent=as_silent)
        digest = signed_hash(text)
        form = SignForm(request.POST or None, initial={"expected_hash": digest})
        if request.method == "POST" and form.is_valid():
            try:
                services.sign(
                    by=_person(request),
                    password=form.cleaned_data["password"],
                    version=version,
                    as_silent=as_silent,
                    expected_hash=form.cleaned_data["expected_hash"],
                    request=request,
                )
            except DomainError as error:
                form.add_error("password", str(error))
            else:
                version.refresh_from_db()
                messages.success(request, f"You have signed. {version} is {version.get_state_display()}.")
                return HttpResponseRedirect(reverse("admin:registry_modelversion_change", args=[version.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Sign for {'silent use' if as_silent else 'the release'} of {version}",
            "meaning": services.MEANING_SILENT if as_silent else services.MEANING,
            "as_silent": as_silent,
            "original": version,
            "opts": version._meta,
            "form": form,
            "readable": json.dumps(json.loads(text), indent=1, ensure_ascii=False),
            "digest": digest,
            "signatures": [row for row in selectors.approvals(version) if row.signed_hash == digest],
            "needed": SIGNATURES_NEEDED,
            "printed_name": _person(request).printed_name,
        }
        return TemplateResponse(request, "admin/registry/modelversion/sign.html", context)

    def reject(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Refuse a version for good."""
        version = self._found(request, pk, "reject_model")
        return ask_reason(
            self,
            request,
            version,
            title=f"Reject {version}",
            sentence="It will never serve.",
            act=lambda reason: services.reject(by=_person(request), version=version, reason=reason),
        )

    def roll_back(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Let the version before serve again."""
        version = self._found(request, pk, "roll_back_model")
        before = selectors.predecessor(version)
        return ask_reason(
            self,
            request,
            version,
            title=f"Roll back {version}",
            sentence=f"{before} serves again, at once." if before else "It followed no version that could serve again.",
            act=lambda reason: services.roll_back(
                by=_person(request), trial=version.trial_id, reason=reason, expected=version
            ),
        )

    def retire(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Take a version out of service."""
        version = self._found(request, pk, "retire_model")
        return ask_reason(
            self,
            request,
            version,
            title=f"Retire {version}",
            sentence="Predictions of its trial stop until another version is released.",
            act=lambda reason: services.retire(by=_person(request), version=version, reason=reason),
        )

    def _found(self, request: HttpRequest, pk: Any, action: str) -> ModelVersion:
        version = self.get_queryset(request).get(pk=pk)
        check(request.user, action, trial=version.trial_id)
        return version


def _ways(request: HttpRequest, version: ModelVersion) -> list[tuple[str, str]]:
    """What this person may do with the version now: (address, words)."""
    open_to = (
        ("release", "sign_model", "registry_modelversion_sign", "Sign for the release"),
        ("release_silent", "sign_model", "registry_modelversion_sign_silent", "Sign for silent use"),
        ("reject", "reject_model", "registry_modelversion_reject", "Reject"),
        ("roll_back", "roll_back_model", "registry_modelversion_roll_back", "Roll back"),
        ("retire", "retire_model", "registry_modelversion_retire", "Retire"),
    )
    return [
        (reverse(f"admin:{name}", args=[version.pk]), words)
        for action, permission, name, words in open_to
        if (action, version.state) in BY_MOVE and may(request.user, permission, trial=version.trial_id)
    ]


def _json(value: Any) -> str:
    """The exact values, folded where they would bury the page."""
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
    lines = text.count("\n") + 1
    if lines <= MOST_LINES:
        return format_html("<pre>{}</pre>", text)
    return format_html("<details><summary>{} lines of JSON</summary><pre>{}</pre></details>", f"{lines:,}", text)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
