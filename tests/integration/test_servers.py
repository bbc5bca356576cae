"""The embedded servers: all answer, all stop, and no way of dying leaves one behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from clinical_portal.env import BASE_DIR
from clinical_portal.servers import ports
from clinical_portal.servers.process import Identity, family
from clinical_portal.servers.stack import Stack


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder (0700), as a careful user's is: PostgreSQL's account cannot pass it."""
    place = Path(tempfile.mkdtemp(prefix="clinical-servers-"))
    yield place
    Stack(place).stop()
    moved = place / "postgres" / "moved-to"
    if moved.exists():
        shutil.rmtree(moved.read_text().strip())
    shutil.rmtree(place)


def alive(identities: dict[str, Identity]) -> list[str]:
    return [name for name, identity in identities.items() if identity.alive]


def test_all_servers_answer_and_all_are_gone_after_the_stop(folder: Path) -> None:
    from kafka import KafkaConsumer, KafkaProducer
    from kafka.admin import KafkaAdminClient, NewTopic

    stack = Stack(folder, durable=False)
    addresses = stack.ensure("mlflow", "valkey", "broker")
    running = stack.running()
    everything = [*running.values(), *(Identity.of(p.pid) for one in running.values() for p in family(one))]
    assert set(running) == {"postgres", "valkey", "broker", "mlflow"}

    link = psycopg2.connect(addresses["DATABASE_URL"])
    with link.cursor() as cursor:
        cursor.execute("select 6 * 7, current_setting('TimeZone')")
        assert cursor.fetchone() == (42, "UTC")
    link.close()

    client = redis.Redis.from_url(addresses["REDIS_URL"])
    assert client.ping()
    client.close()

    bootstrap = addresses["KAFKA_BOOTSTRAP_SERVERS"]
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic("patient-vitals", num_partitions=1, replication_factor=1)])
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    producer.send("patient-vitals", b"{}", key=b"DEMO/1").get(10)
    consumer = KafkaConsumer("patient-vitals", bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest")
    assert [record.key for records in consumer.poll(10_000).values() for record in records] == [b"DEMO/1"]
    for kafka_client in (consumer, producer, admin):
        kafka_client.close()

    with urllib.request.urlopen(f"{addresses['MLFLOW_TRACKING_URI']}/health", timeout=10) as answer:
        assert answer.read() == b"OK"

    assert Stack(folder, durable=False).ensure("mlflow", "valkey", "broker") == addresses
    assert stack.running() == running, "a second start took over what ran"

    stack.stop()
    assert [one for one in everything if one is not None and one.alive] == []
    assert stack.file.read().addresses == {}


def test_data_and_ports_outlive_a_stop(folder: Path) -> None:
    stack = Stack(folder, durable=False)
    first = stack.ensure("postgres", "valkey")
    link = psycopg2.connect(first["DATABASE_URL"])
    link.autocommit = True
    with link.cursor() as cursor:
        cursor.execute("create table kept (number int); insert into kept values (7)")
    link.close()
    stack.stop()
    assert stack.ensure("postgres", "valkey") == first
    link = psycopg2.connect(first["DATABASE_URL"])
    with link.cursor() as cursor:
        cursor.execute("select number from kept")
        assert cursor.fetchone() == (7,)
    link.close()


def test_a_server_killed_hard_is_started_again(folder: Path) -> None:
    stack = Stack(folder, durable=False)
    before = stack.ensure("postgres", "broker")
    for identity in stack.running().values():
        os.kill(identity.pid, signal.SIGKILL)
    stale = folder / "postgres" / "moved-to"
    data = (Path(stale.read_text().strip()) if stale.exists() else folder / "postgres") / "data"
    # The number in a stale lock may belong to anybody by now; here to this test.
    lock = (data / "postmaster.pid").read_text().splitlines()
    (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lock[1:]]))
    again = Stack(folder, durable=False)
    try:
        assert set(again.ensure("postgres", "broker")) == set(before)
    finally:
        again.stop()


def test_servers_die_with_a_supervisor_that_is_killed(folder: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from clinical_portal.servers.stack import Stack;"
        "Stack(Path(sys.argv[1]), durable=False).ensure('postgres', 'valkey', 'broker', own=True);"
        "print('ready', flush=True); time.sleep(60)"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, cwd=BASE_DIR, text=True
    )
    assert supervisor.stdout is not None
    with supervisor.stdout:
        assert supervisor.stdout.readline() == "ready\n"
        stack = Stack(folder, durable=False)
        running = stack.running()
        assert set(running) == {"postgres", "valkey", "broker"}
        assert stack.file.read().owner_alive()
        supervisor.kill()
        supervisor.wait()
    psutil.wait_procs([process for one in running.values() if (process := one.process())], timeout=15)
    assert alive(running) == []
    assert not stack.file.read().owner_alive()


def test_a_taken_port_is_given_up(folder: Path) -> None:
    import socket

    stack = Stack(folder, durable=False)
    with socket.create_server(("127.0.0.1", ports.choose())) as squatter:
        taken = squatter.getsockname()[1]
        with stack.file.locked() as state:
            state.ports["valkey"] = taken
        address = stack.ensure("valkey")["REDIS_URL"]
    assert str(taken) not in address


def test_exec_stops_what_it_started_and_nothing_else(folder: Path) -> None:
    def servers(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "clinical_portal.servers", *arguments],
            env={**os.environ, "VAR_DIR": str(folder)},
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            timeout=60,
        )

    up = servers("up", "--only", "valkey")
    assert "export REDIS_URL=redis://127.0.0.1:" in up.stdout
    kept = Stack(folder).running()
    show = "import os; print(os.environ['REDIS_URL'], os.environ['KAFKA_BOOTSTRAP_SERVERS']); raise SystemExit(3)"
    done = servers("exec", "--only", "valkey", "--only", "broker", "--", sys.executable, "-c", show)
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith(up.stdout.strip().partition("REDIS_URL=")[2])
    assert Stack(folder).running() == kept
    which = "import os, sys; print(os.path.dirname(sys.executable))"
    ours = servers("exec", "--only", "valkey", "--", "python", "-c", which)
    assert ours.stdout.strip() == str(Path(sys.executable).parent), "`python` within is the one that has the packages"
    assert servers("down").returncode == 0
    deadline = time.monotonic() + 5
    while alive(kept) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert alive(kept) == []
