"""The containers' description agrees with the code: what it sets, starts, mounts and asks for is really there."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from clinical_portal.env import BY_NAME, VARIABLES, Environment
from clinical_portal.processes import table
from tools import compose_env, dashboards

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
OURS = "clinical-portal:"
#: Variables in a container of ours that are not read by us but by the library that the command starts.
LIBRARIES = ("MLFLOW_", "AWS_", "AIRFLOW__")
#: Read by Python and Django themselves.
INTERPRETER = {"DJANGO_SETTINGS_MODULE"}
PROFILES = {"spark-job", "feature-engineering", "training", "serving", "airflow", "monitoring"}
REQUIRED_SERVICES = {
    *("kafka", "minio", "postgres", "valkey", "mlflow", "spark-master", "spark-worker", "web", "api", "worker", "beat"),
    *("bronze", "live", "prometheus", "grafana", "elasticsearch", "logstash", "kibana", "filebeat"),
}
BUCKETS = ("clinical-mlops", "mlflow-artifacts", "dvc-storage")


@cache
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def ours() -> dict[str, dict[str, Any]]:
    return {name: one for name, one in services().items() if "build" in one}


def environment(service: dict[str, Any], values: dict[str, str]) -> dict[str, str]:
    """What the container would see, its ${…} filled in as compose does."""
    return {name: fill(str(value), values) for name, value in (service.get("environment") or {}).items()}


def fill(text: str, values: dict[str, str]) -> str:
    def one(found: re.Match[str]) -> str:
        name, _, default = found["name"], found["kind"], found["rest"] or ""
        if values.get(name):
            return values[name]
        assert found["kind"] == ":-", f"{name} has neither a value in .env nor a default"
        return fill(re.sub(r"^\$(\w+)$", r"${\1:-}", default), values)

    return re.sub(r"\$\{(?P<name>\w+)(?:(?P<kind>:[-?])(?P<rest>[^}]*))?\}", one, text)


@pytest.fixture(scope="module")
def dotenv(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The values the tool writes."""
    folder = tmp_path_factory.mktemp("compose")
    arguments = ["--host", "risk.example.org", "--trial", "T-1", "--webhook", "https://hooks.example.org/a"]
    assert compose_env.main([*arguments, "--self-signed", "--out", str(folder / ".env")]) == 0
    assert (folder / ".env").stat().st_mode & 0o077 == 0, "others may read the secrets"
    assert compose_env.main([*arguments, "--self-signed", "--out", str(folder / ".env")]) == 1, "it wrote over .env"
    return dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())


def test_it_follows_the_compose_specification() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_service_and_profile_asked_for_is_there() -> None:
    assert set(services()) >= REQUIRED_SERVICES
    assert {profile for one in services().values() for profile in one.get("profiles", [])} == PROFILES


@pytest.mark.parametrize("name", sorted(ours()))
def test_we_know_every_variable_that_is_set(name: str) -> None:
    for variable in ours()[name].get("environment") or {}:
        assert variable in BY_NAME or variable in INTERPRETER or variable.startswith(LIBRARIES), variable


@pytest.mark.parametrize("name", sorted(name for name in ours() if name != "mlflow"))
def test_our_processes_start_with_what_the_tool_writes(name: str, dotenv: dict[str, str]) -> None:
    found = environment(ours()[name], dotenv)
    assert found["DEPLOYMENT"] == "production"
    assert Environment(found).problems() == []


def test_no_secret_has_a_default() -> None:
    for found in re.finditer(r"\$\{(\w*(?:PASSWORD|SECRET|KEY|USER)\w*):-", COMPOSE.read_text()):
        pytest.fail(f"{found[1]} has a default in docker-compose.yml")
    for name, one in services().items():
        for variable, value in (one.get("environment") or {}).items():
            if re.search("PASSWORD|SECRET|_KEY$", variable) and variable != "S3_ACCESS_KEY":
                assert ":?" in str(value), f"{name} holds a secret in the file: {variable}"


@pytest.mark.parametrize("weak", ["password", "changeme", "minioadmin", "clinical", "x" * 64])
def test_a_known_password_does_not_start_production(weak: str, dotenv: dict[str, str]) -> None:
    for variable in (one.name for one in VARIABLES if one.secret and one.required):
        found = environment(ours()["web"], dotenv) | {variable: weak}
        assert any(variable in problem for problem in Environment(found).problems()), variable


def test_every_variable_is_one_the_tool_writes(dotenv: dict[str, str]) -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    assert asked == set(dotenv)


def test_images_are_pinned() -> None:
    for name, one in services().items():
        image, _, tag = one["image"].partition(":")
        assert tag, f"{name} has no tag"
        assert any(sign.isdigit() for sign in tag), f"{name} is not pinned: {image}:{tag}"
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if (found := re.match(r"FROM (\S+) AS", line)) and found[1] != "portal":
            assert re.search(r":\d+\.\d+\.\d+", found[1]), line
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {one["image"].partition(":")[2] for one in ours().values()} == {version}


@pytest.mark.parametrize("name", sorted(ours()))
def test_what_is_started_exists(name: str) -> None:
    command = ours()[name]["command"]
    if command[:2] == ["python", "manage.py"]:
        verbs = {path.stem for path in (ROOT / "apps").glob("*/management/commands/*.py")} | {"migrate"}
        assert command[2] in verbs
        if command[2] == "run_job":
            from apps.pipelines.jobs import JOBS

            assert command[3] in JOBS
    elif command[:2] == ["python", "-m"]:
        assert importlib.util.find_spec(command[2])
    elif not command[0].startswith("/opt/airflow"):
        assert (Path(sys.executable).parent / command[0]).exists(), command[0]


def test_every_process_of_make_run_has_its_container() -> None:
    # The simulator belongs to the demonstration: production has patients of its own.
    assert {process.name for process in table(Environment({}))} - {"simulator"} <= set(ours())


def test_containers_of_ours_can_do_little() -> None:
    for name, one in ours().items():
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert one["read_only"] or name == "airflow", name
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    for stage in stages:
        if " AS portal" in stage or " AS airflow" in stage:
            assert re.findall(r"^USER (\S+)", stage, re.MULTILINE)[-1] == "10001:10001"


@pytest.mark.parametrize("name", sorted(ours()))
def test_what_we_write_can_be_written(name: str) -> None:
    """The root is read-only: VAR_DIR, where every process of ours writes, must be a volume or memory."""
    (var_dir,) = re.findall(r"VAR_DIR=(\S+) \\", (ROOT / "Dockerfile").read_text())[:1]
    mounted = [mount.split(":")[0] for mount in ours()[name].get("tmpfs", [])]
    mounted += [fill(volume, {}).split(":")[1] for volume in ours()[name].get("volumes", [])]
    assert var_dir in mounted
    assert len(mounted) == len(set(mounted)), "two mounts at one place"
    folder = (ours()[name].get("environment") or {}).get("PROMETHEUS_MULTIPROC_DIR")
    assert not folder or folder in mounted, "counts of an earlier start would be added"


def test_every_server_of_ours_is_asked_whether_it_lives() -> None:
    from clinical_portal.probe import ASKED

    for process in table(Environment({})):
        if process.name in ours():
            one = ours()[process.name]
            *_, module, kind = one["healthcheck"]["test"]
            assert module == "clinical_portal.probe"
            setting, _ = ASKED[kind]
            assert kind == process.name or int(one["environment"][setting]), process.name


def test_a_worker_has_the_processes_that_the_setting_says() -> None:
    """Whatever starts it: without this Celery takes as many as the machine has processors."""
    from clinical_portal.celery import app

    assert app.conf.worker_concurrency == Environment({}).integer("WORKER_CONCURRENCY")


def test_who_runs_spark_jobs_comes_with_spark() -> None:
    """A worker takes the portal's runs: in its profiles there is a cluster for them."""
    for name in ("spark-master", "spark-worker"):
        assert set(services()[name]["profiles"]) >= set(services()["worker"]["profiles"])
    limit = services()["spark-worker"]["deploy"]["resources"]["limits"]["cpus"]
    written = compose_env.values("h", "t", "c", "k", "w")
    assert 0 < float(fill(limit, written)) <= (os.cpu_count() or 1), "Docker starts no container beyond the machine's"


def test_airflow_finds_a_driver_for_its_database() -> None:
    scheme = services()["airflow"]["environment"]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].partition("://")[0]
    driver = scheme.partition("+")[2]
    installs = re.findall(r"/opt/airflow/bin/pip install (.+)", (ROOT / "Dockerfile").read_text())
    assert driver in installs[0]


def test_nobody_who_writes_the_lake_deletes_what_the_auditors_signed() -> None:
    policy = json.loads((ROOT / "deploy/minio/lake-writer.json").read_text())
    denied = [one for one in policy["Statement"] if one["Effect"] == "Deny"]
    assert any(
        "s3:DeleteObject" in one["Action"] and "arn:aws:s3:::clinical-mlops/audit/*" in one["Resource"]
        for one in denied
    )


def test_only_the_front_door_is_open_to_the_network() -> None:
    for name, one in services().items():
        for port in one.get("ports", []):
            assert name == "front" or port.startswith("127.0.0.1:"), f"{name} is open to everybody at {port}"


def test_every_mounted_or_copied_path_exists() -> None:
    for name, one in services().items():
        for volume in one.get("volumes", []):
            source = fill(volume, {}).split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).exists(), f"{name}: {source}"
            elif not source.startswith("/"):
                assert source in compose()["volumes"], f"{name}: {source}"
        for secret in one.get("secrets", []):
            assert secret in compose()["secrets"], f"{name}: {secret}"
    ignored = (ROOT / ".dockerignore").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), f"Dockerfile copies {source}"
            assert f"!{source.split('/')[0]}\n" in ignored, f".dockerignore keeps {source} out"


def test_addresses_between_containers_exist(dotenv: dict[str, str]) -> None:
    """Every host:port that is named anywhere is a service that listens there."""
    ports = {
        "postgres": {5432},
        "valkey": {6379},
        "kafka": {9092, 9093},
        "minio": {9000, 9001},
        "mlflow": {5000},
        "spark-master": {7077, 8080},
        "elasticsearch": {9200},
        "logstash": {5044},
        "prometheus": {9090},
        **{key: {9100} for key in ("bronze", "live", "worker", "beat")},
        "alertmanager": {9093},
        "grafana": {3000},
        "kibana": {5601},
        "web": {Environment({}).integer("WEB_PORT")},
        "api": {Environment({}).integer("API_PORT")},
    }
    deploy = [path for path in (ROOT / "deploy").rglob("*") if path.is_file()]
    text = "\n".join(path.read_text() for path in [COMPOSE, *deploy])
    text = re.sub(r"^ *image: .*$", "", text, flags=re.MULTILINE)
    named = set(re.findall(rf"\b({'|'.join(services())}):(\d{{2,5}})\b", text))
    assert named
    for host, port in named:
        assert int(port) in ports.get(host, set()), f"{host}:{port}"
    exposed = re.findall(r"^EXPOSE (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0].split()
    assert set(map(int, exposed)) == ports["web"] | ports["api"]


def test_the_front_door_leads_to_real_addresses() -> None:
    from django.urls import resolve

    text = (ROOT / "deploy/nginx/nginx.conf").read_text()
    for address in re.findall(r"location = (\S+)", text):
        assert resolve(address)
    doors = dict(re.findall(r"location = (\S+) \{ proxy_pass http://(\w+)", text))
    for route in ("/predict", "/retrain", "/health"):
        assert doors.get(route) == "api", f"{route} is the API's"
    assert resolve("/api/v1/predict")
    assert resolve("/imports/new/")
    assert "proxy_set_header X-Forwarded-For $remote_addr" in text, "a client could choose its own address"


def test_the_buckets_are_the_ones_the_platform_names() -> None:
    text = (ROOT / "deploy/minio/buckets.sh").read_text()
    policy = (ROOT / "deploy/minio/lake-writer.json").read_text()
    for bucket in BUCKETS:
        assert bucket in text
        assert f"arn:aws:s3:::{bucket}/*" in policy
    assert BY_NAME["S3_BUCKET"].local == BUCKETS[0]


def test_airflow_calls_the_jobs_that_there_are() -> None:
    from apps.pipelines.jobs import JOBS

    tree = ast.parse((ROOT / "deploy/airflow/dags/adverse_event_pipeline.py").read_text())
    steps = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "STEPS"
    )
    assert steps
    assert set(steps) <= set(JOBS)


# --- what is asked of Prometheus ---------------------------------------------------------------------------------------

WORDS_OF_PROMQL = {
    *("sum", "by", "rate", "increase", "histogram_quantile", "max", "topk", "time", "up", "le"),
    *("group", "topic", "rule", "site", "layer", "job", "source", "level", "code", "component", "outcome", "severity"),
}


def queries() -> list[tuple[str, str]]:
    """(where, PromQL) of every rule and panel."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
    found = [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]
    for name, (_, panels) in dashboards.DASHBOARDS.items():
        found += [(f"{name}: {panel.title}", query) for panel in panels for _, query in panel.queries]
    return found


@pytest.mark.parametrize(("where", "query"), queries())
def test_a_query_asks_for_metrics_and_labels_that_there_are(where: str, query: str) -> None:
    from apps.core.metric_table import METRICS

    shown: dict[str, set[str]] = {}
    for row in METRICS.values():
        names = [row.shown, *(f"{row.name}_{part}" for part in ("bucket", "sum", "count") if row.kind == "histogram")]
        shown |= {name: set(row.labels) for name in names}
    bare = re.sub(r'"[^"]*"', "", query)
    words = set(re.findall(r"\b[a-z_][a-z0-9_]*\b", bare)) - {"m", "h"}
    metrics = words & set(shown)
    assert metrics or "up" in words, f"{where} asks for nothing that is shown"
    labels = set().union(*(shown[name] for name in metrics)) | {"job", "le"}
    assert words - metrics <= WORDS_OF_PROMQL, f"{where}: {words - metrics - WORDS_OF_PROMQL}"
    for group in re.findall(r"by \(([^)]*)\)", query):
        assert {label.strip() for label in group.split(",")} <= labels, where
    for label in re.findall(r"[{,]\s*(\w+)\s*[=!]", query):
        assert label in labels, where


def test_the_dashboards_are_as_the_table_prints_them() -> None:
    for name in dashboards.DASHBOARDS:
        assert (dashboards.FOLDER / f"{name}.json").read_text() == dashboards.render(name), "python -m tools.dashboards"
    assert {path.stem for path in dashboards.FOLDER.glob("*.json")} == set(dashboards.DASHBOARDS)


def test_every_alert_names_a_runbook_that_there_is() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert (ROOT / rule["annotations"]["runbook"]).is_file(), rule["alert"]
            assert rule["labels"]["severity"] in ("critical", "warning")


def test_prometheus_itself_reads_the_rules() -> None:
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("no promtool: install it (Debian: `apt-get install prometheus`)")
    done = subprocess.run(
        [promtool, "check", "rules", ROOT / "deploy/prometheus/rules.yml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nginx_itself_reads_its_configuration(tmp_path: Path) -> None:
    """With the names of the containers as addresses of this machine, and files where the secrets would be."""
    if (nginx := shutil.which("nginx")) is None:
        pytest.skip("no nginx: install it (Debian: `apt-get install nginx-light`)")
    certificate, key = compose_env.self_signed("risk.example.org", tmp_path)
    text = (ROOT / "deploy/nginx/nginx.conf").read_text()
    for old, new in (
        ("/run/secrets/tls_certificate", str(certificate)), ("/run/secrets/tls_key", str(key)),
        ("server web:", "server 127.0.0.1:"), ("server api:", "server 127.0.0.1:"), ("/tmp/nginx.pid", str(tmp_path / "pid")),
    ):  # fmt: skip
        text = text.replace(old, new)
    (tmp_path / "nginx.conf").write_text(text)
    done = subprocess.run([nginx, "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
