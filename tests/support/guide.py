"""What the user guide's pictures show: a simulated ward in which something of every kind has happened.

``ward`` is laid into the tables at once. ``followed`` is a smaller trial whose messages really lie in a lake, so that a
score's way can be walked and replayed; ``watched_trial`` has two weeks of predictions that came true or did not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from django.db import connection, transaction

from apps.accounts.models import User
from apps.accounts.roles import ROLES
from apps.audit import checkpoints
from apps.core import clock
from apps.core.lake import lake
from apps.ingestion.models import DeadLetter, ImportDomain, ImportRefusal, ImportRun, Quarantined
from apps.monitoring import steps
from apps.patients import services as patients
from apps.patients.demo import seed_trial
from apps.patients.models import Trial
from apps.registry import services as registry
from apps.registry.models import ModelVersion
from ml.comparison import compare, place_of
from ml.comparison.compare import Pair
from ml.contracts.wire import Refused, validate
from ml.profile import StudyProfile
from tests.support import clinic, people, watched
from tests.support.events import lab, vitals
from tests.support.people import PASSWORD
from tests.support.standing import StandingClock, standing

#: sign-in name: printed name, role, and the site where it is only one
PEOPLE = {
    "cora": ("Cora Ordinator", "coordinator", ""),
    "luc": ("Luc Lyon", "coordinator", "704"),
    "sam": ("Sam Reviewer", "safety_reviewer", ""),
    "ana": ("Ana Auditor", "auditor", ""),
    "meg": ("Meg Engineer", "ml_engineer", ""),
    "approver-a": ("Approver A", "model_approver", ""),
    "approver-b": ("Approver B", "model_approver", ""),
    "ada": ("Ada Ministrator", "administrator", ""),
}
#: topic, body, schema version
REFUSED: tuple[tuple[str, bytes, str], ...] = (
    *(("patient-vitals", orjson.dumps({**vitals(f"701-{1015 + n}"), "trial_id": "DEMO"}), "2") for n in (0, 3, 6)),
    ("patient-vitals", b'{"trial_id":"DEMO","patient_id":"704-1016","heart_rate":"fa\xff\x00st"', "1"),
    ("patient-vitals", orjson.dumps({**vitals("704-1019"), "trial_id": "DEMO", "heart_rate": "fast"}), "1"),
    ("lab-results", orjson.dumps({**lab("708-1017"), "trial_id": "DEMO", "timestamp": "2026-02-30T08:00:00Z"}), "1"),
)
IMPOSSIBLE = "No living person has this value; the other signs are kept."
#: rule, topic, patient, field, value, sentence
ASIDE = (
    ("impossible_value", "patient-vitals", "701-1015", "heart_rate", "999", IMPOSSIBLE),
    ("impossible_value", "patient-vitals", "704-1019", "temperature", "4.1", IMPOSSIBLE),
    ("unknown_unit", "lab-results", "708-1017", "", "31 IE/dl", "The unit is not in the table for this analyte; it is never guessed."),
    ("unknown_patient", "adverse-events", "701-1099", "", "", "Nothing is known of the patient yet; re-run when the context comes."),
)  # fmt: skip
#: domain, row, rule, what, why, what would mend it
NOT_CARRIED = (
    ("LB", "LB:DEMO-701-1015:812", "lab_without_a_number", "ALT = 'HEMOLYZED'",
     "The result is neither a number nor a coded text.", "Correct the result in the source."),
    ("LB", "LB:DEMO-704-1016:97", "unit_unknown", "Creatinine in 'mg%'",
     "The unit is not in the closed table for this analyte.", "Send mg/dL or umol/L."),
    ("VS", "VS:DEMO-708-1017:31", "no_date", "VSDTC = '2026-13-01'",
     "The date is no date of the calendar.", "Correct the date in the source."),
)  # fmt: skip


def ward(now: datetime, files: Path) -> clinic.Ward:
    """A trial DEMO of 24 patients with people, a second model version that one of two has signed and that is compared
    with the one that serves, refused messages, values set aside, an import, a check of the package that lies in the
    folder ``files``, and a sealed trail."""
    _persons()
    made = clinic.ward(now, patients=24, days=5)
    _roles(made.trial)
    ada = User.objects.get(username="ada")
    patients.change_trial(by=ada, trial=made.trial, name="A simulated oncology ward")
    for code, name in (("0", "Placebo"), ("1", "Active 80 mg")):
        patients.create_arm(by=ada, trial=made.trial, code=code, name=name)
    _next_version(made)
    _set_aside(now)
    _check(made.trial, now, str(files))
    checkpoints.seal(everything=True)
    return made


def followed() -> Iterator[Trial]:
    """A trial of two patients, at the moment it ends at; inside the generator the clock stands."""
    from tests.integration import test_lineage
    from tests.integration.test_blinding import NOW, history, settle

    with standing(StandingClock(NOW)) as stands:
        made, _ = seed_trial(by=people.SYSTEM)
        settle(made, history(swapped=False, of=test_lineage.SMALL), stands, test_lineage.SMALL)
        _persons()
        _roles(made)
        yield made


def watched_trial(now: datetime) -> Trial:
    """A trial of 40 patients, looked at twice, of which some features have shifted since the training."""
    made = watched.trial(now=now, patients=40, shift=2.0, shifted=("heart_rate_mean_6h", "alt_latest", "spo2_mean_24h"))
    watched.lag(12, at=now)
    for back in (timedelta(hours=6), timedelta(seconds=5)):
        with clock.fixed(now - back):
            steps.check({"trial": "DEMO"}, lambda *_: None)
    _persons()
    _roles(made.trial)
    return made.trial


def _persons() -> None:
    """Everybody, before a ward makes approvers of its own for the model that serves."""
    for username, (name, role, _) in PEOPLE.items():
        people.person(username, printed_name=name, is_staff=ROLES[role].staff)


def _roles(trial: Trial) -> None:
    """Everybody in their role; the administrator's holds everywhere."""
    sites = {site.site_id: site for site in trial.sites.all()}
    for username, (_, role, site) in PEOPLE.items():
        if not site or site in sites:
            at = None if role == "administrator" else trial
            people.grant(User.objects.get(username=username), role, at=at, site=sites.get(site))


def _next_version(of: clinic.Ward) -> None:
    """A version in staging with one of two signatures, and its comparison with the one that serves."""
    evaluation = json.loads(json.dumps(of.version.metrics["evaluation"]))
    for name, more in (("auroc", 0.017), ("auprc", 0.03)):
        for end in ("value", "low", "high"):
            evaluation["figures"][name][end] += more
    evaluation |= {"gaps": people.GOOD["gaps"], "latency_ms_single": {"value": 3.4}}
    evaluation["comparisons"] = people.GOOD["comparisons"] | evaluation["comparisons"]
    made = people.model(of.trial, metrics=evaluation)
    assert made.state == "staging", made.gates
    registry.sign(by=User.objects.get(username="approver-a"), password=PASSWORD, version=made)
    _compared(of.version, made, of.profile_version.body)


def _compared(one: ModelVersion, two: ModelVersion, profile: Any) -> None:
    dice = np.random.default_rng(3)
    truth = dice.normal(size=4_000)
    label = (dice.random(4_000) < 1 / (1 + np.exp(3.2 - 1.5 * truth))).astype(np.int8)

    def told(noise: float) -> np.ndarray:
        return np.asarray(1 / (1 + np.exp(3.2 - 1.4 * truth - noise * np.random.default_rng(5).normal(size=4_000))))

    sex = np.where(np.arange(4_000) % 2 == 0, "F", "M")
    bands = StudyProfile.from_json(profile).bands
    pair, names = Pair(np.arange(4_000) // 20, label, told(1.1), told(0.3), {"sex": sex}), (str(one), str(two))
    body = compare(pair, bands=bands, draws=60, names=names) | {
        "trial_id": one.trial_id,
        "simulated": True,
        "data_version": "d41f09c2" * 8,
        "labels_known_by": int(clock.now().timestamp()),
        "left_out": {"patient-days of patients that one of them learned from": 1204},
        "models": {"one": {"name": str(one)}, "two": {"name": str(two)}},
    }
    lake().put(place_of(str(one.trial_id), str(one), str(two)), json.dumps(body).encode())


def _set_aside(now: datetime) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for offset, (topic, raw, version) in enumerate(REFUSED):
            judged = validate(topic, raw, version)
            assert isinstance(judged, Refused), raw
            DeadLetter.objects.create(
                topic=topic,
                topic_id="t",
                partition=0,
                offset=4100 + offset,
                raw=raw,
                key=b"DEMO/701-1015",
                reasons=[{"rule": one.rule, "path": one.path, "message": one.message} for one in judged.reasons],
                headers={"schema_version": version, "producer": "bedside-gateway"},
                received_at=now - timedelta(minutes=7 * offset + 3),
                correlation_id=f"c0ffee{offset:02d}",
            )
        for offset, (rule, topic, patient, field, value, message) in enumerate(ASIDE):
            Quarantined.objects.create(
                trial_id="DEMO",
                patient=f"DEMO/{patient}",
                site_id=patient[:3],
                topic=topic,
                topic_id="t",
                partition=0,
                offset=4200 + offset,
                rule=rule,
                field=field,
                value=value,
                message=message,
                event_time=now - timedelta(hours=2 * offset + 1),
            )


def _check(trial: Trial, now: datetime, files: str) -> None:
    """A checked package that waits for somebody to say yes."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        run = ImportRun.objects.create(
            trial=trial, trial_name=trial.pk, title="A simulated oncology ward", kind="check", origin="sent",
            source="ward-may.zip", place=files, state="succeeded", progress=100, by="Meg Engineer", subjects=24, sites=3,
            new=1904, corrected=12, retracted=1, unchanged=88391, started_at=now - timedelta(minutes=9),
            finished_at=now - timedelta(minutes=8),
        )  # fmt: skip
        for domain, read, refused in (
            ("AE", 961, 0),
            ("CM", 1204, 0),
            ("DM", 24, 0),
            ("LB", 59580, 4),
            ("VS", 28543, 1),
        ):
            ImportDomain.objects.create(
                run=run, domain=domain, file=f"{domain.lower()}.xpt", sha256="ab" * 32, rows_read=read,
                rows_carried=read - refused, rows_refused=refused, events=read - refused,
            )  # fmt: skip
        for domain, row, rule, what, why, cure in NOT_CARRIED:
            ImportRefusal.objects.create(run=run, domain=domain, row=row, rule=rule, what=what, why=why, cure=cure)
