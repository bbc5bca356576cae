"""The portal and the API as containers run them: production settings, what .env gives, and nothing else of this machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import psycopg2.errors
import pytest
import redis
from django.db import connection

from apps.accounts.models import User
from clinical_portal.env import BASE_DIR
from clinical_portal.servers import ports
from clinical_portal.servers.stack import Stack
from tests.repository.test_deploy import ROOT, environment, services
from tools import compose_env

pytestmark = pytest.mark.django_db(transaction=True)
HOST = "risk.example.org"
BIN = Path(sys.executable).parent


@dataclass
class Production:
    """What compose gives the containers, with this machine's addresses in place of the containers'."""

    common: dict[str, str]
    ports: dict[str, int]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def variables(self, name: str, values: dict[str, str]) -> dict[str, str]:
        found = environment(services()[name], values)
        found.setdefault("DJANGO_SETTINGS_MODULE", "clinical_portal.settings.production")
        return found | self.common | {"WEB_PORT": str(self.ports["web"]), "API_PORT": str(self.ports["api"])}

    def ask(self, part: str, address: str, host: str = HOST, proto: str = "https") -> tuple[int, dict[str, str], str]:
        """Status, headers (names in lower case) and text of what the front door would get."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports[part]}{address}", headers={"Host": host, "X-Forwarded-Proto": proto}
        )
        try:
            answer = urllib.request.build_opener(Stay).open(request, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, {name.lower(): text for name, text in answer.headers.items()}, answer.read().decode()


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing."""

    def redirect_request(self, *_: object) -> None:
        return None


@pytest.fixture(scope="module")
def gathered() -> None:
    """The image's own step: static files as production reads them, gathered without one secret."""
    steps = re.sub(r"\\\n", "", (ROOT / "Dockerfile").read_text())
    found = re.search(r"(\w+=\S+) python (manage\.py collectstatic [^&\n]*)", steps)
    assert found, "the Dockerfile gathers no static files"
    name, _, value = found[1].partition("=")
    bare = {"PATH": os.environ["PATH"], name: value}
    subprocess.run([sys.executable, *found[2].split(), "--clear"], env=bare, cwd=BASE_DIR, check=True, timeout=60)


@pytest.fixture
def production(
    gathered: None, s3: dict[str, str], kafka: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Production]:
    stack = Stack(tmp_path / "servers", durable=False)
    made = Production({}, {"web": ports.choose(), "api": ports.choose()})
    try:
        cache = stack.ensure("valkey")["REDIS_URL"]
        values = compose_env.values(HOST, "T-1", "chain.pem", "key.pem", "webhook")
        with redis.Redis.from_url(cache) as client:
            client.config_set("requirepass", values["VALKEY_PASSWORD"])
        here = connection.settings_dict
        made.common = {
            "PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path / "var"), "LOG_LEVEL": "ERROR",
            "DATABASE_URL": f"postgresql://{here['USER']}:{here['PASSWORD']}@{here['HOST']}:{here['PORT']}/{here['NAME']}",
            "REDIS_URL": cache.replace("redis://", f"redis://:{values['VALKEY_PASSWORD']}@"),
            "KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka), "LAKE_URL": f"s3://{s3['bucket']}",
            "S3_ENDPOINT": s3["endpoint"], "IMPORT_ROOT": str(tmp_path), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        }  # fmt: skip
        for folder in ("var", "metrics"):
            (tmp_path / folder).mkdir()
        for part in ("web", "api"):
            command = services()[part]["command"]
            program = (
                [sys.executable, *command[1:]] if command[0] == "python" else [str(BIN / command[0]), *command[1:]]
            )
            variables = made.variables(part, values)
            made.running[part] = subprocess.Popen(program, env=variables, cwd=BASE_DIR)
        made.common |= {"checked": str(check(made.variables("web", values)))}
        until_it_answers(made)
        yield made
    finally:
        for process in made.running.values():
            process.send_signal(signal.SIGTERM)
        for process in made.running.values():
            process.wait(20)
        stack.stop()


def check(variables: dict[str, str]) -> str:
    """What `check --deploy` says."""
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        env=variables, cwd=BASE_DIR, capture_output=True, text=True,
    )  # fmt: skip
    return f"{done.returncode} {done.stdout}{done.stderr}"


def probe(made: Production, part: str) -> int:
    variables = os.environ | {"ALLOWED_HOSTS": f"{HOST},web,api", f"{part.upper()}_PORT": str(made.ports[part])}
    return subprocess.run(
        [sys.executable, "-m", "clinical_portal.probe", part], env=variables, cwd=BASE_DIR, capture_output=True
    ).returncode


def until_it_answers(made: Production, seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    for part, process in made.running.items():
        while True:
            assert process.poll() is None, f"{part} ended with {process.returncode}"
            try:
                made.ask(part, "/health")
                break
            except OSError:
                assert time.monotonic() < ends, f"{part} does not answer"
                time.sleep(0.2)


def test_the_containers_processes_serve_under_production_settings(production: Production) -> None:
    assert production.common["checked"].startswith("0 "), production.common["checked"]
    assert "no issues" in production.common["checked"]

    for part in ("web", "api"):
        status, _, text = production.ask(part, "/health")
        assert status == 200, text
        assert probe(production, part) == 0

    # a browser at the front door
    status, headers, page = production.ask("web", "/sign-in/")
    assert status == 200, page
    assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains; preload"
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store" or "no-store" in headers["cache-control"]
    assert headers["x-frame-options"] == "DENY"
    assert re.search(r"__Host-csrf=[^;]+;.*Secure", headers["set-cookie"])
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert files
    for address in files:
        status, headers, _ = production.ask("web", address)
        assert status == 200, address
        assert "immutable" in headers["cache-control"], f"{address} bears no hash of its content"

    # without TLS, at another host's name, without a name of ours
    status, headers, _ = production.ask("web", "/sign-in/", proto="http")
    assert (status, headers["location"]) == (301, f"https://{HOST}/sign-in/")
    assert production.ask("web", "/sign-in/", host="evil.example.com")[0] == 400
    status, headers, text = production.ask("web", "/nothing-here/")
    assert status in (302, 404)
    assert "Traceback" not in text

    # who watches asks by the container's name, or by address where a service has several
    for part, host in (("web", f"web:{production.ports['web']}"), ("api", "172.18.0.9:8001")):
        status, _, text = production.ask(part, "/metrics", host=host, proto="http")
        assert status == 200, f"{part} refuses Prometheus at {host}: {text[:200]}"
        assert "# TYPE" in text
    assert User.objects.count() == 0, "a fresh production has nobody in it"


def test_the_account_of_our_processes_cannot_put_the_guards_to_rest() -> None:
    """What deploy/postgres/init makes, under names of the test's own, on the test's server."""
    name = f"app_{os.getpid()}"
    text = (ROOT / "deploy/postgres/init/databases.sql").read_text()
    text = re.sub(r"^(--|\\).*$", "", text, flags=re.MULTILINE).replace(":'password'", "'only-here'")
    statements = [one.strip() for one in text.replace("clinical", name).split(";") if one.strip()]
    superuser = services()["postgres"]["environment"]["POSTGRES_USER"]
    (ours,) = {urlsplit(fill_address(one)).username for one in services().values() if "DATABASE_URL" in str(one)}
    assert ours == "clinical" != superuser
    assert superuser not in text
    here = connection.settings_dict
    options = {"host": here["HOST"], "port": here["PORT"], "dbname": "postgres"}
    admin = psycopg2.connect(user=here["USER"], password=here["PASSWORD"], **options)
    admin.autocommit = True
    try:
        with admin.cursor() as cursor:
            for statement in statements:
                if not re.search(r"DATABASE (mlflow|airflow)", statement):
                    cursor.execute(statement)
        app = psycopg2.connect(user=name, password="only-here", **{**options, "dbname": name})
        app.autocommit = True
        with app.cursor() as cursor:
            cursor.execute("CREATE TABLE ours (id int)")  # migrations are its own
            for statement in (
                "SET session_replication_role = replica", "CREATE ROLE another", "COPY ours FROM '/etc/hostname'",
                "ALTER SYSTEM SET fsync = off",
            ):  # fmt: skip
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute(statement)
        app.close()
    finally:
        with admin.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"DROP ROLE IF EXISTS {name}")
        admin.close()


def fill_address(service: dict[str, Any]) -> str:
    return re.sub(r"\$\{[^}]*\}", "x", str(service["environment"]["DATABASE_URL"]))
