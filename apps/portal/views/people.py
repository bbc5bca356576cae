"""People of a trial: the list, an account, its roles and training; each write behind the permission it needs."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.debug import sensitive_variables

from apps.accounts import permissions, selectors, services, training
from apps.accounts.models import RoleGrant, TrainingRecord, User
from apps.accounts.roles import ROLES
from apps.core.errors import DomainError, NotFound
from apps.patients import selectors as patients
from apps.portal.people_forms import (
    CorrectionForm,
    EndRoleForm,
    NewPersonForm,
    PeopleFilter,
    RoleForm,
    TrainingForm,
    WhyForm,
    WrittenForm,
)
from apps.portal.presenters import people as present
from apps.portal.presenters.pager import page_of
from apps.portal.study_forms import blame
from apps.portal.views.study import UNFIT, StudyView

PAGE = 25
PASSWORD_BYTES = 12
#: In the session: whom a trial's administrator has found by their exact name, so that they may open that one page.
FOUND = "person_found"


class PeopleView(StudyView):
    """What the pages about people share."""

    action = "view_people"
    section = "portal:people"
    help_topic = "people"
    tab = "people"

    def seen(self) -> QuerySet[User]:
        return selectors.people_seen(self.viewer.user, self.viewer.trial)

    @property
    def may_users(self) -> bool:
        return permissions.may(self.viewer.user, "manage_users", trial=None)

    def listed(self, chosen: PeopleFilter) -> QuerySet[User]:
        """The people that the filters leave, by name."""
        chosen.is_valid()
        given, trial = chosen.cleaned_data, self.viewer.trial
        rows = self.seen()
        live = RoleGrant.objects.in_force()
        here = live.filter(Q(trial=trial) | Q(trial__isnull=True))
        if not given.get("every"):
            any_here = RoleGrant.objects.filter(Q(trial=trial) | Q(trial__isnull=True)).values("user_id")
            anywhere = RoleGrant.objects.values("user_id")
            # whoever has never had a role anywhere belongs to no other trial: a new account waits here for its first
            rows = rows.filter(Q(pk__in=any_here) | ~Q(pk__in=anywhere))
        if query := given.get("q", "").strip():
            rows = rows.filter(Q(username__icontains=query) | Q(printed_name__icontains=query))
        if role := given.get("role"):
            rows = rows.filter(pk__in=here.filter(role=role).values("user_id"))
        if site := given.get("site"):
            rows = rows.filter(pk__in=live.filter(trial=trial, site__site_id=site).values("user_id"))
        return self._in_state(rows, given.get("state", "")).order_by("username_key")

    def _in_state(self, rows: QuerySet[User], state: str) -> QuerySet[User]:
        if state == "training":
            people = list(rows)
            standing = training.standings(people)
            roles: dict[int, set[str]] = {}
            for grant in selectors.grants_seen(self.viewer.user, people):
                roles.setdefault(grant.user_id, set()).add(grant.role)
            due = [
                one.pk
                for one in people
                if present.training_look(standing[one.pk], roles.get(one.pk, ()))[0].word
                in ("Missing", "Lapsed", "Ends soon")
            ]
            return rows.filter(pk__in=due)
        narrowed = {
            "active": lambda: rows.filter(is_active=True),
            "deactivated": lambda: rows.filter(is_active=False),
            "dormant": lambda: selectors.dormant(rows),
            "unverified": lambda: rows.filter(identity_verified_at__isnull=True, is_active=True),
        }
        return narrowed[state]() if state in narrowed else rows

    def rows(self, people: list[User]) -> list[present.PersonRow]:
        """The people as listed, in a fixed number of queries."""
        resting = set(
            selectors.dormant(User.objects.filter(pk__in=[one.pk for one in people])).values_list("pk", flat=True)
        )
        grants = selectors.grants_seen(self.viewer.user, people)
        return present.person_rows(people, grants, training.standings(people), resting, self.viewer.zone)


class People(PeopleView):
    """The list, and how many accounts nobody has used for long."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        chosen = PeopleFilter(request.GET)
        shown, pager = page_of(self.listed(chosen), request, PAGE, "account")
        context = {
            "people": self.rows(shown),
            "pager": pager,
            "filters": chosen,
            "given": chosen.cleaned_data,
            "sites": patients.sites(trial),
            "active": any(chosen.cleaned_data.values()),
            "dormant": selectors.dormant(self.seen()).count(),
            "may_users": self.may_users,
            "may_roles": self.may("manage_roles"),
            "query": request.GET.urlencode(),
        }
        return self.study_page("portal/people.html", context)


class PeopleCsv(PeopleView):
    """The filtered list to take along."""

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        people = self.listed(PeopleFilter(request.GET))
        rows = [row for page in Paginator(people, 500) for row in self.rows(list(page.object_list))]
        answer = HttpResponse(present.as_csv(rows, self.zone_words), content_type="text/csv; charset=utf-8")
        answer.headers["Content-Disposition"] = f'attachment; filename="people-{trial}.csv"'
        return answer


class FindPerson(PeopleView):
    """To the page of somebody who has an account and no role here yet, by their exact name."""

    action = "manage_roles"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        try:
            found = User.objects.get_by_natural_key(request.POST.get("username", "")[:200])
        except (User.DoesNotExist, DomainError):
            messages.error(request, "Nobody has that sign-in name. It is written as the person writes it to sign in.")
            return redirect("portal:people", trial=trial)
        request.session[FOUND] = found.pk
        return redirect("portal:person", trial=trial, pk=found.pk)


class PersonNew(PeopleView):
    """A new account; the page that follows shows its first password, and no other does."""

    action = "manage_users"

    def get(self, request: HttpRequest, trial: str) -> HttpResponse:
        return self.study_page("portal/person_new.html", {"form": NewPersonForm()})

    @sensitive_variables("password")
    def post(self, request: HttpRequest, trial: str) -> HttpResponse:
        form = NewPersonForm(request.POST)
        if form.is_valid():
            password = secrets.token_urlsafe(PASSWORD_BYTES)
            try:
                made = services.create_user(by=self.viewer.user, password=password, **form.cleaned_data)
            except DomainError as error:
                blame(form, error)
            else:
                return self.study_page(
                    "portal/person_password.html", {"person": made, "password": password, "new": True}
                )
        return self.study_page("portal/person_new.html", {"form": form}, status=UNFIT)


class Person(PeopleView):
    """One person: account, roles, training."""

    def get(self, request: HttpRequest, trial: str, pk: int) -> HttpResponse:
        person = self.person(pk)
        asked = request.GET.get("correct", "")
        record = next((row for row in TrainingRecord.objects.filter(user=person) if str(row.pk) == asked), None)
        if record is None:
            return self.draw(person)
        initial = {"record": record.pk, "completed_on": record.completed_on, "evidence": record.evidence}
        return self.draw(person, correction=CorrectionForm(initial=initial))

    def person(self, pk: int) -> User:
        """The person. Raises NotFound for one that the viewer may neither see nor has found by their name."""
        found = self.seen().filter(pk=pk).first()
        if found is None and self.request.session.get(FOUND) == pk and self.may("manage_roles"):
            found = User.objects.filter(pk=pk).first()
        if found is None:
            raise NotFound("There is no such person that you may see.", cure="Choose one from the list of people.")
        return found

    def draw(self, person: User, *, status: int = 200, **sent: forms.Form) -> HttpResponse:
        """The page; ``sent`` are forms that came back with something to mend."""
        viewer = self.viewer
        grants = selectors.grants_seen(viewer.user, [person], ended=True)
        rows = [present.grant_row(one, viewer.zone) for one in grants]
        live = {one.role for one, row in zip(grants, rows, strict=True) if not row.ended}
        standing = training.standing_of(person)
        records = TrainingRecord.objects.filter(user=person).select_related("corrected_by")
        mine = person.pk == viewer.user.pk
        everywhere = permissions.may(viewer.user, "manage_roles", trial=None)
        blank: dict[str, forms.Form] = {
            "written": WrittenForm(initial={"printed_name": person.printed_name, "email": person.email}),
            "why": WhyForm(),
            "role_form": RoleForm(trial=viewer.trial, everywhere=everywhere),
            "end_form": EndRoleForm(),
            "training_form": TrainingForm(),
            "correction": CorrectionForm(),
        }
        context = {
            "person": person,
            "grants": [row for row in rows if not row.ended],
            "over": [row for row in rows if row.ended],
            "courses": present.course_rows(standing, live),
            "records": [present.record_row(row) for row in records],
            "dormant": selectors.dormant(User.objects.filter(pk=person.pk)).exists(),
            "may_users": self.may_users and not mine,
            "may_roles": self.may("manage_roles") and not mine,
            "may_training": self.may("record_training") and not mine,
            "mine": mine,
            "roles": [(role.label, present.training_look(standing, (role.name,))) for role in ROLES.values()],
        }
        return self.study_page("portal/person.html", context | blank | sent, status=status)

    def back(self, person: User) -> HttpResponse:
        return redirect("portal:person", trial=self.viewer.trial.pk, pk=person.pk)


class PersonAccount(Person):
    """What is done to an account: ``act`` says which."""

    action = "manage_users"
    http_method_names = ["post"]

    #: act -> the service that takes a reason, and what it says when done
    REASONED = {
        "deactivate": (services.deactivate_user, "The account is deactivated: access ended at once."),
        "reactivate": (services.reactivate_user, "The account is active again, with the roles it held."),
        "keep": (services.keep_account, "Noted: the account may stay for another 90 days."),
    }

    def post(self, request: HttpRequest, trial: str, pk: int) -> HttpResponse:
        person, by, act = self.person(pk), self.viewer.user, request.POST.get("act", "")
        if act in self.REASONED:
            service, told = self.REASONED[act]
            why = WhyForm(request.POST)
            if self.carry_out(why, lambda given: service(by=by, user=person, **given), told):
                return self.back(person)
            return self.draw(person, status=UNFIT, why=why)
        if act == "written":
            form = WrittenForm(request.POST)
            if self.carry_out(
                form, lambda given: services.change_user(by=by, user=person, **given), "The account is changed."
            ):
                return self.back(person)
            return self.draw(person, status=UNFIT, written=form)
        if act == "verify":
            services.verify_identity(by=by, user=person)
            messages.success(request, f"Noted: you have verified the identity of {person}.")
            return self.back(person)
        if act == "password":
            return self.first_password(person)
        raise NotFound("There is no such thing to do.", cure="Go back to the person.")

    @sensitive_variables("password")
    def first_password(self, person: User) -> HttpResponse:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        services.reset_password(by=self.viewer.user, user=person, password=password)
        context = {"person": person, "password": password, "new": False}
        return self.study_page("portal/person_password.html", context)


class PersonTraining(Person):
    """A course recorded, or a wrong record answered."""

    action = "record_training"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str, pk: int) -> HttpResponse:
        person, by, here = self.person(pk), self.viewer.user, self.viewer.trial
        if request.POST.get("act") == "correct":
            form = CorrectionForm(request.POST)

            def correct(given: dict[str, Any]) -> object:
                old = TrainingRecord.objects.filter(user=person, pk=given.pop("record")).first()
                if old is None:
                    raise NotFound("There is no such record.", cure="Choose one from the list.")
                return training.record_training(
                    by=by, user=person, trial=here, course=old.course, corrects=old, **given
                )

            if self.carry_out(form, correct, "The record is corrected."):
                return self.back(person)
            return self.draw(person, status=UNFIT, correction=form)
        new = TrainingForm(request.POST)
        told = "The training is recorded."
        if self.carry_out(new, lambda given: training.record_training(by=by, user=person, trial=here, **given), told):
            return self.back(person)
        return self.draw(person, status=UNFIT, training_form=new)


class PersonRole(Person):
    """A role given or ended."""

    action = "manage_roles"
    http_method_names = ["post"]

    def post(self, request: HttpRequest, trial: str, pk: int) -> HttpResponse:
        person, by = self.person(pk), self.viewer.user
        if request.POST.get("act") == "end":
            form = EndRoleForm(request.POST)

            def end(given: dict[str, Any]) -> object:
                grant = next(
                    (one for one in selectors.grants_seen(by, [person]) if one.pk == given["grant"]), None
                )  # one that the viewer sees
                if grant is None:
                    raise NotFound("There is no such role to end.", cure="It may have ended: look at the list.")
                return services.revoke_role(by=by, grant=grant, reason=given["reason"])

            if self.carry_out(form, end, "The role is ended."):
                return self.back(person)
            return self.draw(person, status=UNFIT, end_form=form)
        everywhere = permissions.may(by, "manage_roles", trial=None)
        new = RoleForm(request.POST, trial=self.viewer.trial, everywhere=everywhere)
        if self.carry_out(new, lambda _: services.grant_role(by=by, user=person, **new.grant()), "The role is given."):
            return self.back(person)
        return self.draw(person, status=UNFIT, role_form=new)
