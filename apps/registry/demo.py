"""The demonstration from its trial to its signatures, and what the terminal says of it."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from apps.accounts import demo as people
from apps.accounts.models import User
from apps.audit.actors import Actor
from apps.core.errors import Unavailable
from apps.patients.demo import seed_trial
from apps.patients.models import Patient, Site, Trial
from apps.registry import services
from apps.registry.evidence import signed_hash, signed_text
from apps.registry.models import ModelVersion
from apps.registry.states import SERVING


def seed(*, by: Actor) -> Trial:
    """The demo trial, its sites, people, roles and API key; repeating it changes nothing."""
    trial, sites = seed_trial(by=by)
    people.seed_people(by=by, trial=trial, sites=sites)
    people.seed_key(by=by, trial=trial)
    return trial


def available() -> bool:
    """Whether this is a demonstration whose approvers exist."""
    return settings.DEMO_ALLOWED and User.objects.filter(username_key__in=people.APPROVERS, demo=True).count() == 2


def join_trial(*, by: Actor, trial: Trial) -> None:
    """Give the demo's people their roles in another trial, such as one that was imported."""
    sites = {site.site_id: site for site in Site.objects.filter(trial=trial)}
    people.seed_people(by=by, trial=trial, sites=sites)


def sign_release(*, version: ModelVersion, as_silent: bool = False) -> Iterator[str]:
    """Have the two demo approvers sign for a version, each with their own password; yields one sentence a signature.

    Raises what signing raises, and Unavailable where the demo's people are not there.
    """
    people.refuse_production()
    for username in people.APPROVERS:
        user = User.objects.filter(username_key=username, demo=True).first()
        if user is None:
            raise Unavailable("The demo's approvers are not there.", cure="Seed the demo first.", code="no_demo")
        version.refresh_from_db()
        if version.state in SERVING:
            return
        expected = signed_hash(signed_text(version, as_silent=as_silent))
        if version.approvals.filter(user=user, signed_hash=expected).exists():
            continue
        approval = services.sign(
            by=user,
            password=people.password_of(username),
            version=version,
            as_silent=as_silent,
            expected_hash=expected,
        )
        purpose = "silent use, for research only" if as_silent else "release"
        yield f"{approval.printed_name} signed for {purpose} of {version} (a demonstration's signature)"


def welcome(*, web_port: int) -> str:
    """Address, sign-ins, and a key with a line to try."""
    kept = people.Secrets().read()
    patient = Patient.objects.filter(trial_id=settings.DEFAULT_TRIAL_ID).order_by("patient_id").first()
    width = max(len(person.username) for person in people.PEOPLE)
    lines = [
        "",
        f"  The portal: http://127.0.0.1:{web_port}",
        "",
        "  Sign in as (demonstration only; simulated patients)",
        *(
            f"    {person.username:<{width}}  {kept['passwords'].get(person.username, '-'):<18} {_what(person)}"
            for person in people.PEOPLE
        ),
        "",
        f"  API key: {kept['api_key']}",
        f"    curl -s http://127.0.0.1:{web_port}/api/v1/predict \\",
        f"      -H 'Authorization: Api-Key {kept['api_key']}' -H 'Content-Type: application/json' \\",
        f"""      -d '{{"patient_id": "{patient.patient_id if patient else "01-0001"}"}}'""",
        "",
    ]
    return "\n".join(lines)


def _what(person: people.Person) -> str:
    where = f", site {person.site}" if person.site else ""
    return person.role.replace("_", " ") + where
