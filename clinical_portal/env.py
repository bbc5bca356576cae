"""The only reader of the environment.

Every setting that may differ between machines is a row of ``VARIABLES``. Locally a row has a default, and the addresses
of embedded servers come from ``var/servers.json`` where the supervisor wrote them, so that a second terminal finds the
running stack. In production nothing is guessed: what is missing or weak is refused, all of it in one message.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent

Kind = Literal["text", "integer", "number", "flag", "list"]
Deployment = Literal["local", "test", "production"]
DEPLOYMENTS: tuple[Deployment, ...] = ("local", "test", "production")

#: Text that shows a secret was never chosen; compared without case.
WEAK_WORDS = ("changeme", "change-me", "secret", "password", "insecure", "example", "minioadmin", "default", "test")


class ConfigurationError(Exception):
    """A setting is missing or unfit; the message says which and how to mend it."""


@dataclass(frozen=True)
class Variable:
    """One name of the environment.

    ``local`` is the default outside production (None: no value). ``required`` holds in production only. ``secret``
    values are judged for strength in production and never printed.
    """

    name: str
    meaning: str
    kind: Kind = "text"
    local: str | None = None
    required: bool = False
    secret: bool = False
    least: int = 32  # characters of a secret
    example: str = ""


VARIABLES: tuple[Variable, ...] = (
    Variable("DEPLOYMENT", "which settings apply: local, test or production", local="local", example="production"),
    Variable("COMPONENT", "name of this process in the logs (the supervisor sets it)", example="web"),
    Variable("VAR_DIR", "folder of everything that can be thrown away", local=str(BASE_DIR / "var")),
    Variable(
        "SECRET_KEY",
        "Django's signing key",
        required=True,
        secret=True,
        least=50,
        example="the output of `openssl rand -base64 48`",
    ),
    Variable(
        "ALLOWED_HOSTS",
        "host names the portal answers to",
        "list",
        "127.0.0.1,localhost,[::1]",
        required=True,
        example="risk.example.org",
    ),
    Variable("CSRF_TRUSTED_ORIGINS", "origins that may post forms", "list", "", example="https://risk.example.org"),
    Variable(
        "DATABASE_URL",
        "PostgreSQL",
        local="postgresql://clinical@127.0.0.1:15432/clinical",
        required=True,
        example="postgresql://user:password@db:5432/clinical",
    ),
    Variable(
        "REDIS_URL",
        "Redis or Valkey: cache, online window, Celery, Channels",
        local="redis://127.0.0.1:16379/0",
        required=True,
        example="redis://:password@cache:6379/0",
    ),
    Variable(
        "KAFKA_BOOTSTRAP_SERVERS",
        "Kafka brokers",
        "list",
        "127.0.0.1:19092",
        required=True,
        example="kafka-1:9092,kafka-2:9092,kafka-3:9092",
    ),
    Variable("KAFKA_GROUP_ID", "consumer group of the bronze consumer", local="clinical-consumer-group"),
    Variable(
        "LAKE_URL",
        "the object store: a folder's file:// URL or s3://bucket",
        required=True,
        example="s3://clinical-mlops",
    ),
    Variable("S3_ENDPOINT", "address of the object store, empty for AWS", local="", example="https://minio:9000"),
    Variable("S3_ACCESS_KEY", "its access key", local="", example="lake-writer"),
    Variable("S3_SECRET_KEY", "its secret key", local="", secret=True, example="at least 32 characters"),
    Variable("S3_BUCKET", "bucket of the lake, where LAKE_URL names none", local="clinical-mlops"),
    Variable("S3_PREFIX", "folder inside the bucket", local=""),
    Variable(
        "AUDIT_SIGNING_KEY",
        "key that signs the audit trail's checkpoints: 32 random bytes in base64",
        required=True,
        secret=True,
        least=44,
        example="the output of `openssl rand -base64 32`",
    ),
    Variable("SPARK_MASTER_URL", "where Spark runs", local="local[*]", example="spark://spark-master:7077"),
    Variable(
        "MLFLOW_TRACKING_URI",
        "MLflow's server",
        local="http://127.0.0.1:15000",
        required=True,
        example="http://mlflow:5000",
    ),
    Variable("DEFAULT_TRIAL_ID", "trial of messages that name none", local="DEMO"),
    Variable("MODEL_NAME", "registered model", local="adverse-event-predictor"),
    Variable("MODEL_STAGE", "alias that mirrors what serves", local="production"),
    Variable("PRODUCER_RATE", "messages a second of the simulator; 0 = the patients' own pace", "number", "0"),
    Variable("NUM_PATIENTS", "patients of the simulated trial", "integer", "200"),
    Variable("HISTORY_DAYS", "days of simulated history before now", "integer", "60"),
    Variable("PROCESS_HOURS", "hours of bronze that one hourly clean looks back", "integer", "24"),
    Variable("CHECK_INTERVAL_SECONDS", "pause between two checks of the monitors", "integer", "60"),
    Variable(
        "ALERT_WEBHOOK_URL",
        "where operators' alerts are posted, empty for nowhere",
        local="",
        example="https://hooks.example.org/clinical",
    ),
    Variable(
        "IMPORT_ROOT",
        "the only folder that imports may be read from; empty allows any (local)",
        local="",
        example="/srv/imports",
    ),
    Variable("WEB_PORT", "port of the portal", "integer", "8000"),
    Variable("API_PORT", "port of the prediction API", "integer", "8001"),
    Variable("API_WORKERS", "processes of the prediction API", "integer", "2"),
    Variable("API_THREADS", "threads of each of them", "integer", "16"),
    Variable("WORKER_CONCURRENCY", "Celery processes of a worker", "integer", "2"),
    Variable("TLS_PROXY", "true where a proxy ends TLS and sets X-Forwarded-Proto", "flag", "true"),
    Variable(
        "PROXY_COUNT",
        "how many proxies of our own stand before the portal: so far from the right of X-Forwarded-For is the sender",
        "integer",
        "1",
    ),
    Variable("LOG_LEVEL", "lowest level that is logged", local="INFO"),
    Variable("CI", "set by a build service: skips for want of a browser become failures", "flag", "false"),
    Variable(
        "CHROMIUM", "path of Chromium for browser tests, where it is not on PATH", local="", example="/usr/bin/chromium"
    ),
    Variable(
        "SDTM_PILOT_DIR",
        "the CDISC pilot study, for tests on real data",
        local=str(BASE_DIR.parent / "shared" / "data" / "cdiscpilot01"),
        example="/data/cdiscpilot01",
    ),
    Variable(
        "PROMETHEUS_MULTIPROC_DIR",
        "folder in which processes add up their metrics (the supervisor sets it)",
        example="/run/metrics",
    ),
    Variable("METRICS_PORT", "where a process without pages shows its metrics; 0 = nowhere", "integer", "0"),
    Variable("JAVA_HOME", "a Java to prefer over PATH and PyPI's", local=""),
)
BY_NAME: Mapping[str, Variable] = {variable.name: variable for variable in VARIABLES}


@dataclass(frozen=True)
class Address:
    """What production asks of a variable that holds an address: how it is spoken to, and with which password.

    ``guard``: "" as it likes; "good" if there is one it must not be weak; "needed" there must be one."""

    name: str
    schemes: tuple[str, ...]
    guard: Literal["", "good", "needed"] = ""


ADDRESSES: tuple[Address, ...] = (
    Address("DATABASE_URL", ("postgresql", "postgres"), "needed"),
    Address("REDIS_URL", ("redis", "rediss"), "needed"),
    Address("MLFLOW_TRACKING_URI", ("http", "https"), "good"),
    Address("S3_ENDPOINT", ("http", "https"), "good"),
    Address("ALERT_WEBHOOK_URL", ("https",), "good"),  # its path is a secret, and what it tells leaves the house
    Address("CSRF_TRUSTED_ORIGINS", ("https",)),
)
#: Characters of a password in an address.
LEAST_PASSWORD = 12

#: Addresses the supervisor hands to the processes it starts; the keys of ``addresses`` in var/servers.json.
SERVER_ADDRESSES = ("DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "MLFLOW_TRACKING_URI")


class Environment:
    """Typed reading of the variables, from ``source`` and, outside production, from defaults."""

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        self._source = os.environ if source is None else source
        self.deployment: Deployment = self._find_deployment()
        self.var_dir = Path(self.text("VAR_DIR")).absolute()

    @property
    def production(self) -> bool:
        return self.deployment == "production"

    def text(self, name: str) -> str:
        """The value, or the local default; "" where an optional one is unset in production."""
        variable = self._variable(name)
        value = self._source.get(name)
        if value not in (None, ""):
            return str(value)
        if self.__dict__.get("deployment") == "production":
            if variable.required:
                raise ConfigurationError(self._missing(variable))
            return variable.local or ""
        if name in SERVER_ADDRESSES and (address := self._embedded().get(name)):
            return address
        if name == "SECRET_KEY":
            return self._local_secret("secret_key", secrets.token_urlsafe(48))
        if name == "AUDIT_SIGNING_KEY":
            return self._local_secret("audit_signing_key", base64.b64encode(secrets.token_bytes(32)).decode())
        if name == "LAKE_URL":
            return (self.var_dir / "lake").as_uri()
        return variable.local or ""

    def integer(self, name: str) -> int:
        return int(self.number(name))

    def number(self, name: str) -> float:
        value = self.text(name)
        try:
            number = float(value)
        except ValueError as error:
            raise ConfigurationError(
                f"{name} is {value!r}, which is not a number: set {name}, e.g. to {self._variable(name).local}."
            ) from error
        if self._variable(name).kind == "integer" and number != int(number):
            raise ConfigurationError(f"{name} is {value!r}: it must be a whole number.")
        return number

    def flag(self, name: str) -> bool:
        value = self.text(name).strip().lower()
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("", "0", "false", "no", "off"):
            return False
        raise ConfigurationError(f"{name} is {value!r}: write true or false.")

    def words(self, name: str) -> list[str]:
        return [part.strip() for part in self.text(name).split(",") if part.strip()]

    def redis_url(self, database: int) -> str:
        """REDIS_URL with another database number (0 online window, 1 Celery, 2 Channels, 3 cache)."""
        head, _, last = self.text("REDIS_URL").rpartition("/")
        base = head if head and not head.endswith("/") and last.isdigit() else self.text("REDIS_URL").rstrip("/")
        return f"{base}/{database}"

    def is_set(self, name: str) -> bool:
        self._variable(name)
        return bool(self._source.get(name))

    def child(self, **extra: str) -> dict[str, str]:
        """A copy of the environment for a process that is to be started, with ``extra`` over it."""
        return {**self._source, **extra}

    def path(self, folder: Path) -> str:
        """Where commands are looked for, ``folder`` first."""
        return os.pathsep.join(part for part in (str(folder), self._source.get("PATH", os.defpath)) if part)

    def shell(self) -> str:
        """The user's own shell."""
        return self._source.get("SHELL") or "/bin/sh"

    def problems(self) -> list[str]:
        """Why this environment is unfit for production, one sentence each with its cure."""
        found: list[str] = []
        for variable in VARIABLES:
            value = self._source.get(variable.name, "")
            if variable.required and not value:
                found.append(self._missing(variable))
            elif variable.secret and value and (weakness := _weakness(value, variable.least)):
                found.append(f"{variable.name} {weakness}. Set it to a random value: `openssl rand -base64 48`.")
        audit_key = self._source.get("AUDIT_SIGNING_KEY", "")
        if len(audit_key) >= BY_NAME["AUDIT_SIGNING_KEY"].least and not _is_seed(audit_key):
            found.append(
                "AUDIT_SIGNING_KEY is not 32 bytes in base64. Set it to the output of `openssl rand -base64 32`."
            )
        lake = self._source.get("LAKE_URL", "")
        if lake.startswith("file:"):
            found.append("LAKE_URL is a local folder, which one failed disk loses: set it to s3://<bucket>.")
        if lake.startswith("s3:") and bool(self._source.get("S3_ACCESS_KEY")) != bool(
            self._source.get("S3_SECRET_KEY")
        ):
            found.append(
                "S3_ACCESS_KEY and S3_SECRET_KEY belong together: set both, or neither where the machine's own "
                "role gives access."
            )
        for address in ADDRESSES:
            for value in filter(None, self._source.get(address.name, "").split(",")):
                found += [f"{address.name} {fault}" for fault in _faults(address, value.strip())]
        if "*" in self._source.get("ALLOWED_HOSTS", ""):
            found.append("ALLOWED_HOSTS allows every host: name the portal's own host names.")
        return found

    def refuse_unfit(self) -> None:
        """Raise ConfigurationError with every problem, so that one restart suffices."""
        if found := self.problems():
            raise ConfigurationError(
                "This environment is not fit for production:\n" + "\n".join(f"- {p}" for p in found)
            )

    def _find_deployment(self) -> Deployment:
        value = self._source.get("DEPLOYMENT", "")
        if not value:
            module = self._source.get("DJANGO_SETTINGS_MODULE", "").rpartition(".")[2]
            value = module if module in DEPLOYMENTS else "local"
        for deployment in DEPLOYMENTS:
            if value == deployment:
                return deployment
        raise ConfigurationError(f"DEPLOYMENT is {value!r}: write one of {', '.join(DEPLOYMENTS)}.")

    def _variable(self, name: str) -> Variable:
        try:
            return BY_NAME[name]
        except KeyError:
            raise ConfigurationError(
                f"{name} is not a known setting: add a row to VARIABLES in clinical_portal/env.py."
            ) from None

    def _missing(self, variable: Variable) -> str:
        example = f", e.g. {variable.example}" if variable.example else ""
        return f"{variable.name} is not set ({variable.meaning}): set it{example}."

    def _embedded(self) -> Mapping[str, str]:
        try:
            state = json.loads((self.var_dir / "servers.json").read_text())
        except (OSError, ValueError):
            return {}
        return {str(name): str(address) for name, address in state.get("addresses", {}).items()}

    def _local_secret(self, name: str, drawn: str) -> str:
        """A random key of this checkout: sessions and signatures survive a restart, and no key stands in the source."""
        path = self.var_dir / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(f".{os.getpid()}")
            draft.touch(mode=0o600)
            draft.write_text(drawn)
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            draft.unlink()
        return path.read_text()


def _weakness(value: str, least: int) -> str:
    """Why a secret is weak, or ""."""
    if len(value) < least:
        return f"has {len(value)} characters; {least} are the least"
    if any(word in value.lower() for word in WEAK_WORDS if len(word) > 5):
        return "contains a word that shows it was never chosen"
    if len(set(value)) < 8:
        return "repeats a few characters"
    return ""


def _faults(address: Address, value: str) -> list[str]:
    """Why an address is unfit, without a word of what stands in it."""
    try:
        parts = urlsplit(value)
        password = unquote(parts.password or "")
    except ValueError:
        return ["cannot be read as an address: check its brackets and special characters (write them as %XX)."]
    if parts.scheme not in address.schemes or not parts.hostname:
        return [f"is no address of the form {' or '.join(address.schemes)}://<host>: correct it."]
    if address.guard == "needed" or (address.guard == "good" and parts.password is not None):
        worn = password.lower() in WEAK_WORDS or password == (parts.username or "") or len(set(password)) < 6
        if len(password) < LEAST_PASSWORD or worn:
            return [
                (
                    f"has no password or a weak one: use one of at least {LEAST_PASSWORD} random characters, "
                    "`openssl rand -hex 24`."
                )
            ]
    return []


def _is_seed(value: str) -> bool:
    """Whether it is the base64 of 32 bytes."""
    try:
        return len(base64.b64decode(value, validate=True)) == 32
    except ValueError:
        return False


env = Environment()
