"""Over real HTTP and real sockets, in processes of their own: who loses access has lost it within a second.

The portal runs under uvicorn, the API under gunicorn with two processes; what ends the access is done here, in a third.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from django.db import connection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from apps.accounts import services
from apps.accounts.keys import issue_key, revoke_key
from apps.accounts.models import ApiKey, RoleGrant, User
from apps.core import clock
from apps.patients.models import Site, Trial
from clinical_portal.env import BASE_DIR, env
from clinical_portal.servers import ports
from tests.support import people
from tests.support.database import let_tests_empty_the_tables
from tests.support.people import PASSWORD, SYSTEM

pytestmark = [pytest.mark.django_db(transaction=True)]
DEADLINE = 1.0
START = 60.0


@dataclass
class House:
    """Addresses of the two servers, and who lives there."""

    portal: str
    api: str
    trial: Trial
    sites: list[Site]


def server(folder: Path, name: str, port: int, **extra: str) -> subprocess.Popen[bytes]:
    settings = connection.settings_dict
    user = settings["USER"] + (f":{settings['PASSWORD']}" if settings["PASSWORD"] else "")
    database = f"postgresql://{user}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    commands = {
        "web": ["-m", "clinical_portal.web"],
        "api": [
            "-m",
            "gunicorn",
            "--config",
            "python:clinical_portal.gunicorn_conf",
            "clinical_portal.wsgi:application",
        ],
    }
    variables = env.child(
        DATABASE_URL=database, DEPLOYMENT="test", LOG_LEVEL="INFO", COMPONENT=name, WEB_PORT=str(port), API_PORT=str(port),
        API_WORKERS="2", DJANGO_SETTINGS_MODULE="clinical_portal.settings." + ("api" if name == "api" else "test"), **extra,
    )  # fmt: skip
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *commands[name]], cwd=BASE_DIR, env=variables, stdout=log, stderr=subprocess.STDOUT
        )


@pytest.fixture(scope="module")
def running(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, Path]]:
    """Both servers on the test database, for all tests here."""
    folder = tmp_path_factory.mktemp("servers")
    chosen = {name: ports.choose() for name in ("web", "api")}
    started = {name: server(folder, name, port) for name, port in chosen.items()}
    try:
        for name, path in (("web", "/sign-in/"), ("api", "/api/docs")):
            _wait(f"http://127.0.0.1:{chosen[name]}{path}", started[name], folder / f"{name}.log")
        yield f"http://127.0.0.1:{chosen['web']}", f"http://127.0.0.1:{chosen['api']}", folder
    finally:
        for process in started.values():
            process.terminate()
        for process in started.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until:
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.ConnectionError:
            assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.2)
    raise AssertionError(f"{address} did not answer in {START} s:\n{log.read_text()[-3000:]}")


@pytest.fixture
def house(running: tuple[str, str, Path], transactional_db: None, valkey: Any) -> House:
    let_tests_empty_the_tables()
    trial = people.trial("DEMO")
    sites = [people.site(trial, name) for name in ("S1", "S2")]
    people.patient(trial, "S1-1", at=sites[0])
    return House(running[0], running[1], trial, sites)


def sign_in(house: House, name: str) -> requests.Session:
    session = requests.Session()
    page = session.get(f"{house.portal}/sign-in/").text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    form = {"username": name, "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
    answer = session.post(f"{house.portal}/sign-in/", form, allow_redirects=False)
    assert answer.status_code == 302, answer.text
    return session


@contextmanager
def socket(house: House, session: requests.Session, path: str) -> Iterator[ClientConnection]:
    """A live connection as the page opens it, greeted."""
    address = house.portal.replace("http", "ws") + path
    with connect(address, origin=Origin(house.portal), additional_headers=cookies(session)) as opened:
        assert json.loads(opened.recv(timeout=5))["type"] == "hello"
        yield opened


def cookies(session: requests.Session) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{one.name}={one.value}" for one in session.cookies)}


def closed_in(opened: ClientConnection, since: float) -> tuple[float, int]:
    """Seconds until it was closed, and the code."""
    with pytest.raises(ConnectionClosed) as end:
        _read_to_the_end(opened)
    assert end.value.rcvd is not None
    return time.monotonic() - since, end.value.rcvd.code


def _read_to_the_end(opened: ClientConnection) -> None:
    while True:
        opened.recv(timeout=5)


def status(session: requests.Session, address: str) -> int:
    return session.get(address, allow_redirects=False).status_code


# --- what ends a person's access --------------------------------------------------------------------------------------
def deactivate(user: User, _: requests.Session, __: House) -> None:
    services.deactivate_user(by=people.person("ada", "administrator"), user=user, reason="Left the study.")


def end_role(user: User, _: requests.Session, __: House) -> None:
    for grant in RoleGrant.objects.filter(user=user):
        services.revoke_role(by=people.person("ada", "administrator"), grant=grant, reason="Left the site.")


def reset_password(user: User, _: requests.Session, __: House) -> None:
    services.reset_password(by=people.person("ada", "administrator"), user=user, password="a first password of hers")


def change_password(user: User, _: requests.Session, __: House) -> None:
    services.change_password(by=user, old=PASSWORD, new="another long password of hers")


def sign_out(_: User, session: requests.Session, house: House) -> None:
    elsewhere = requests.Session()
    elsewhere.cookies.update(session.cookies)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', elsewhere.get(f"{house.portal}/help/").text)
    assert token is not None
    elsewhere.post(f"{house.portal}/sign-out/", {"csrfmiddlewaretoken": token[1]}, allow_redirects=False)


@pytest.mark.parametrize(
    ("end", "code", "page", "desk"),
    [
        (deactivate, 4401, 302, 302),
        (reset_password, 4401, 302, 302),
        (change_password, 4401, 302, 302),
        (sign_out, 4401, 302, 302),
        (end_role, 4403, 403, 302),
    ],
)
def test_a_person_loses_pages_admin_and_sockets(
    house: House, end: Callable[[User, requests.Session, House], None], code: int, page: int, desk: int
) -> None:
    user = people.person("eve", "administrator", at=house.trial, is_staff=True)
    session = sign_in(house, "eve")
    board, admin = f"{house.portal}/trials/DEMO/", f"{house.portal}/admin/"
    assert (status(session, board), status(session, admin)) == (200, 200)
    with (
        socket(house, session, "/ws/trials/DEMO/") as trial,
        socket(house, session, "/ws/trials/DEMO/patients/S1-1/") as patient,
    ):
        end(user, session, house)
        since = time.monotonic()
        # the sockets first: a refused request would end the session's row, and the sockets with it
        for opened in (trial, patient):
            seconds, got = closed_in(opened, since)
            assert got == code
            assert seconds < DEADLINE, f"closed after {seconds:.2f} s"
    assert (status(session, board), status(session, admin)) == (page, desk)


@pytest.mark.parametrize("end", [deactivate, reset_password, change_password, sign_out, end_role])
def test_a_person_loses_pages_with_the_next_request(
    house: House, end: Callable[[User, requests.Session, House], None]
) -> None:
    user = people.person("eve", "administrator", at=house.trial, is_staff=True)
    session = sign_in(house, "eve")
    addresses = [house.portal + path for path in ("/trials/DEMO/", "/admin/", "/trials/DEMO/patients/S1-1/now/")]
    assert [status(session, one) for one in addresses] == [200, 200, 200]
    end(user, session, house)
    assert not {status(session, one) for one in addresses} & {200}


def test_a_socket_about_a_patient_closes_with_the_role_at_that_site(house: House) -> None:
    user = people.person("cora", "coordinator", at=house.trial, site=house.sites[0])
    people.grant(user, "coordinator", at=house.trial, site=house.sites[1])
    session = sign_in(house, "cora")
    with (
        socket(house, session, "/ws/trials/DEMO/patients/S1-1/") as patient,
        socket(house, session, "/ws/trials/DEMO/") as trial,
    ):
        services.revoke_role(
            by=SYSTEM, grant=RoleGrant.objects.get(site=house.sites[0]), reason="Moved to another site."
        )
        seconds, code = closed_in(patient, time.monotonic())
        assert code == 4403
        assert seconds < DEADLINE
        assert status(session, f"{house.portal}/trials/DEMO/patients/S1-1/") == 404
        trial.send("{ nobody reads this")
        with pytest.raises(TimeoutError):
            trial.recv(timeout=0.8)
        assert status(session, f"{house.portal}/trials/DEMO/") == 200


def test_another_origin_or_none_gets_no_socket(house: House) -> None:
    people.person("eve", "administrator", at=house.trial)
    session = sign_in(house, "eve")
    address, headers = house.portal.replace("http", "ws") + "/ws/trials/DEMO/", cookies(session)
    for origin in (Origin("https://evil.example"), None, Origin("null")):
        with (
            pytest.raises(InvalidStatus, match="403"),
            connect(address, origin=origin, additional_headers=headers),
        ):
            pass


# --- keys -------------------------------------------------------------------------------------------------------------
def revoke(key: ApiKey) -> None:
    revoke_key(by=SYSTEM, key=key, reason="Lost.")


def deactivate_owner(key: ApiKey) -> None:
    services.deactivate_user(by=SYSTEM, user=key.owner, reason="Left the study.")


@pytest.mark.parametrize("end", [revoke, deactivate_owner])
def test_a_key_ends_in_every_process_of_the_api(house: House, end: Callable[[ApiKey], None]) -> None:
    owner = people.person("owner")
    key, text = issue_key(
        by=SYSTEM,
        owner=owner,
        name="EDC",
        trial=house.trial,
        scopes=["predict"],
        expires_at=clock.now() + timedelta(days=1),
    )

    def ask(base: str) -> int:
        return requests.post(
            f"{base}/api/v1/predict",
            json={"patient_id": "nobody"},
            headers={"Authorization": f"Api-Key {text}"},
            timeout=5,
        ).status_code

    assert {ask(house.api) for _ in range(12)} == {404}, "both processes know the key"
    end(key)
    since = time.monotonic()
    assert [ask(house.api) for _ in range(12)] == [401] * 12
    assert ask(house.portal) == 401
    assert time.monotonic() - since < DEADLINE + 12 * 0.1


def test_the_api_has_no_pages_and_no_admin(house: House) -> None:
    for path in ("/", "/admin/", "/sign-in/", "/trials/DEMO/", "/static/css/tokens.css"):
        answer = requests.get(house.api + path, timeout=5, allow_redirects=False)
        assert answer.status_code == 404, path
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "no-store" in answer.headers["Cache-Control"]


def test_no_log_of_a_server_names_a_patient_a_cookie_or_a_key(house: House, running: tuple[str, str, Path]) -> None:
    people.person("eve", "administrator", at=house.trial)
    session = sign_in(house, "eve")
    with socket(house, session, "/ws/trials/DEMO/patients/S1-1/"):
        pass
    for path in ("patients/S1-1/", "patients/S1-1/gone/", "patients/S1-1/?q=S1-1", "patients/nobody-77/", "?q=S1-1"):
        session.get(f"{house.portal}/trials/DEMO/{path}")
    session.delete(f"{house.portal}/trials/DEMO/patients/S1-1/")
    text = "crk_0123456789ab_" + "S" * 43
    for base in (house.api, house.portal):
        requests.post(
            f"{base}/api/v1/predict?patient_id=S1-1",
            json={"patient_id": "S1-1"},
            headers={"X-API-Key": text},
            timeout=5,
        )
    time.sleep(0.3)
    written = "".join((running[2] / f"{name}.log").read_text() for name in ("web", "api"))
    assert "/patients/" in written, "something was logged, and masked"
    for secret in ("S1-1", "nobody-77", "S" * 43, PASSWORD, *(one.value or "" for one in session.cookies)):
        assert secret not in written
