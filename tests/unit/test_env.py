"""The reader of the environment: local defaults, the embedded servers' addresses, and what production refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clinical_portal.env import BASE_DIR, VARIABLES, ConfigurationError, Environment

FIT = {
    "DEPLOYMENT": "production",
    "SECRET_KEY": "Vd8z2nQm4Rk7Tx1Wb6Yc9Hf3Jp5Ls0GaEuNiOoVd8z2nQm4Rk7Tx1W",
    "AUDIT_SIGNING_KEY": "kXv1m0Q9cT7yRb2Lw5Zp8Nf3Jd6Hs4GaEuViOoCqTkA=",
    "ALLOWED_HOSTS": "risk.hospital.org",
    "DATABASE_URL": "postgresql://clinical:7hG2kQ9vXz4mLp@db:5432/clinical",
    "REDIS_URL": "redis://:9fK2mQ7xVz4hLp@cache:6379/0",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka-1:9092,kafka-2:9092",
    "LAKE_URL": "s3://clinical-mlops",
    "MLFLOW_TRACKING_URI": "http://mlflow:5000",
}


def test_a_fit_environment_is_accepted() -> None:
    Environment(FIT).refuse_unfit()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY has 5 characters; 50 are the least"),
        ({"SECRET_KEY": "django-insecure-0123456789abcdefghij0123456789abcdefghij"}, "SECRET_KEY contains a word"),
        ({"SECRET_KEY": "a" * 60}, "SECRET_KEY repeats a few characters"),
        ({"AUDIT_SIGNING_KEY": ""}, "AUDIT_SIGNING_KEY is not set"),
        ({"AUDIT_SIGNING_KEY": "short"}, "AUDIT_SIGNING_KEY has 5 characters; 44 are the least"),
        (
            {"AUDIT_SIGNING_KEY": "!Xv1m0Q9cT7yRb2Lw5Zp8Nf3Jd6Hs4GaEuViOoCqTkA="},
            "AUDIT_SIGNING_KEY is not 32 bytes in base64",
        ),
        ({"DATABASE_URL": "postgresql://clinical@db/clinical"}, "DATABASE_URL has no password or a weak one"),
        ({"DATABASE_URL": "postgresql://clinical:changeme@db/clinical"}, "DATABASE_URL has no password or a weak one"),
        ({"DATABASE_URL": "postgresql://clinicaldata:clinicaldata@db/x"}, "DATABASE_URL has no password or a weak one"),
        ({"DATABASE_URL": "postgresql://u:aaaaaaaaaaaaaaaa@db/clinical"}, "DATABASE_URL has no password or a weak one"),
        ({"DATABASE_URL": "sqlite:///x"}, "DATABASE_URL is no address of the form postgresql"),
        ({"DATABASE_URL": "postgresql://u:7hG2kQ9vXz4mLp@[db/clinical"}, "DATABASE_URL cannot be read as an address"),
        ({"REDIS_URL": "redis://cache:6379/0"}, "REDIS_URL has no password or a weak one"),
        ({"REDIS_URL": "redis://:%61%61@cache:6379/0"}, "REDIS_URL has no password or a weak one"),
        ({"REDIS_URL": "memory://:9fK2mQ7xVz4hLp@x"}, "REDIS_URL is no address of the form redis or rediss"),
        ({"MLFLOW_TRACKING_URI": "http://admin:password@mlflow:5000"}, "MLFLOW_TRACKING_URI has no password or a weak"),
        ({"MLFLOW_TRACKING_URI": "file:///mlruns"}, "MLFLOW_TRACKING_URI is no address of the form http or https"),
        ({"ALERT_WEBHOOK_URL": "http://hooks.example.org/x"}, "ALERT_WEBHOOK_URL is no address of the form https"),
        (
            {"CSRF_TRUSTED_ORIGINS": "https://a.org,http://b.org"},
            "CSRF_TRUSTED_ORIGINS is no address of the form https",
        ),
        ({"S3_ACCESS_KEY": "lake-writer", "S3_SECRET_KEY": "minioadmin" * 4}, "S3_SECRET_KEY contains a word"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS allows every host"),
        ({"LAKE_URL": "file:///srv/lake"}, "LAKE_URL is a local folder"),
        ({"S3_ACCESS_KEY": "lake-writer"}, "S3_ACCESS_KEY and S3_SECRET_KEY belong together"),
        ({"S3_ACCESS_KEY": "lake-writer", "S3_SECRET_KEY": "minioadmin"}, "S3_SECRET_KEY has 10 characters"),
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, "KAFKA_BOOTSTRAP_SERVERS is not set"),
    ],
)
def test_production_refuses_and_names_the_cure(change: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Environment({**FIT, **change}).refuse_unfit()
    message = str(refused.value)
    assert sentence in message
    assert message.count("\n- ") == 1, "one problem, one sentence"


def test_every_problem_is_said_at_once() -> None:
    problems = Environment({"DEPLOYMENT": "production"}).problems()
    assert len(problems) == sum(variable.required for variable in VARIABLES)


def test_secrets_are_never_in_a_message() -> None:
    secret = "hunter2-hunter2"
    problems = Environment(
        {
            **FIT,
            "SECRET_KEY": secret,
            "AUDIT_SIGNING_KEY": secret,
            "S3_SECRET_KEY": secret,
            "DATABASE_URL": f"postgresql://u:{secret[:7]}@db/x",
            "REDIS_URL": f"redis://:{secret[:7]}@cache/0",
            "ALERT_WEBHOOK_URL": f"http://hooks.org/{secret}",
            "MLFLOW_TRACKING_URI": f"ftp://u:{secret}@mlflow",
        }
    ).problems()
    assert problems
    assert not any("hunter2" in problem for problem in problems)


def test_local_addresses_come_from_the_running_servers(tmp_path: Path) -> None:
    (tmp_path / "servers.json").write_text(json.dumps({"addresses": {"REDIS_URL": "redis://127.0.0.1:21000/0"}}))
    local = Environment({"VAR_DIR": str(tmp_path), "DEPLOYMENT": "local"})
    assert local.redis_url(2) == "redis://127.0.0.1:21000/2"
    assert Environment({"VAR_DIR": str(tmp_path), "REDIS_URL": "redis://else:1/5"}).redis_url(0) == "redis://else:1/0"


def test_production_never_looks_at_the_embedded_servers(tmp_path: Path) -> None:
    (tmp_path / "servers.json").write_text(json.dumps({"addresses": {"REDIS_URL": "redis://127.0.0.1:21000/0"}}))
    with pytest.raises(ConfigurationError, match="REDIS_URL is not set"):
        Environment({"VAR_DIR": str(tmp_path), "DEPLOYMENT": "production"}).text("REDIS_URL")


def test_the_local_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    first = Environment({"VAR_DIR": str(tmp_path), "DEPLOYMENT": "local"}).text("SECRET_KEY")
    assert Environment({"VAR_DIR": str(tmp_path), "DEPLOYMENT": "local"}).text("SECRET_KEY") == first
    assert (tmp_path / "secret_key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("WEB_PORT", "eight", "WEB_PORT is 'eight', which is not a number"),
        ("NUM_PATIENTS", "1.5", "it must be a whole number"),
        ("TLS_PROXY", "perhaps", "write true or false"),
    ],
)
def test_unreadable_values_say_what_to_write(name: str, value: str, sentence: str) -> None:
    reader = Environment({name: value, "DEPLOYMENT": "local"})
    with pytest.raises(ConfigurationError, match=sentence):
        (reader.flag if name == "TLS_PROXY" else reader.integer)(name)


def test_an_unknown_name_or_deployment_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="add a row to VARIABLES"):
        Environment({}).text("NEW_SETTING")
    with pytest.raises(ConfigurationError, match="write one of local, test, production"):
        Environment({"DEPLOYMENT": "staging"})


def manage(settings: str, source: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments, "--settings", f"clinical_portal.settings.{settings}"],
        env={"PATH": os.environ["PATH"], **source},
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(("settings", "silenced"), [("production", 0), ("api", 5)])
def test_django_finds_production_fit_to_deploy_and_no_page_is_let_off(settings: str, silenced: int) -> None:
    done = manage(settings, FIT, "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"no issues ({silenced} silenced)" in done.stdout + done.stderr


def test_production_takes_its_secrets_from_the_environment_and_its_cookies_bear_their_names() -> None:
    ask = (
        "from django.conf import settings as s; print([s.SECRET_KEY, s.DATABASES['default']['PASSWORD'], s.REDIS_URL, "
        "s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.PROXY_COUNT, "
        "s.DEMO_ALLOWED, s.DEBUG])"
    )
    done = manage("production", {**FIT, "PROXY_COUNT": "2"}, "shell", "--no-imports", "-c", ask)
    assert done.returncode == 0, done.stderr
    password = FIT["DATABASE_URL"].partition("clinical:")[2].partition("@")[0]
    cookies = ["__Host-session", "__Host-csrf", True, True]
    wanted = [FIT["SECRET_KEY"], password, FIT["REDIS_URL"], *cookies, 2, False, False]
    assert done.stdout.strip().splitlines()[-1] == str(wanted)


def test_a_production_process_does_not_start_without_its_settings() -> None:
    done = manage("production", {"DEPLOYMENT": "production"}, "check")
    assert done.returncode != 0
    assert "DATABASE_URL is not set (PostgreSQL): set it" in done.stderr
