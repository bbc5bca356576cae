"""The foreground processes of ``make run``: stages, overstayers, orphans, and who falls again and again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from clinical_portal.env import BASE_DIR, Environment
from clinical_portal.processes import table

#: Runs a crew of small processes in a supervisor of its own; each row: name, program, stage, patience.
SUPERVISOR = """
import sys, json
from pathlib import Path
from clinical_portal.crew import Crew
from clinical_portal.env import env
from clinical_portal.processes import Process
from clinical_portal.servers import process
import psutil
process.adopt_orphans()
var, rows = Path(sys.argv[1]), json.loads(sys.argv[2])
crew = Crew(var, lambda line: print(line, flush=True))
for name, program, stage, patience in rows:
    crew.add(Process(name, (sys.executable, "-u", "-c", program), stage, patience, "test"), env.child())
code = crew.run({}, on_ready=lambda: None)
process.end_all(psutil.Process().children(recursive=True))
sys.exit(code)
"""
PATIENT = (
    "import signal, sys, time, os\n"
    "signal.signal(signal.SIGTERM, lambda *_: (open({mark!r}, 'a').write({name!r} + ' '), sys.exit(0)))\n"
    "print('up', flush=True)\n"
    "time.sleep(60)\n"
)
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
#: Leaves a child behind that keeps its output open and ignores a termination.
PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', {stubborn!r}])\n"
    "open({mark!r}, 'w').write(str(child.pid))\n"
    "print('up', flush=True)\n"
    "time.sleep(60)\n"
)


def start(var: Path, rows: list[tuple[str, str, int, float]]) -> subprocess.Popen[str]:
    import json

    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(var), json.dumps(rows)], cwd=BASE_DIR, stdout=subprocess.PIPE, text=True
    )


def wait_up(var: Path, *names: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        logs = [var / "log" / f"{name}.log" for name in names]
        if all(log.exists() and "up" in log.read_text() for log in logs):
            return
        time.sleep(0.05)
    raise AssertionError(f"{names} did not come up")


def test_stages_stop_one_after_another(tmp_path: Path) -> None:
    mark = tmp_path / "order"
    rows = [
        (name, PATIENT.format(mark=str(mark), name=name), stage, 10.0)
        for name, stage in (("workers", 3), ("simulator", 1), ("bronze", 2))
    ]
    crew = start(tmp_path, rows)
    wait_up(tmp_path, "workers", "simulator", "bronze")
    crew.send_signal(signal.SIGINT)
    output, _ = crew.communicate(timeout=30)
    assert mark.read_text().split() == ["simulator", "bronze", "workers"]
    assert crew.returncode == 0, output


def test_who_overstays_is_killed_and_orphans_are_ended(tmp_path: Path) -> None:
    mark = tmp_path / "orphan"
    rows = [("stubborn", STUBBORN, 1, 0.5), ("parent", PARENT.format(stubborn=STUBBORN, mark=str(mark)), 1, 5.0)]
    crew = start(tmp_path, rows)
    wait_up(tmp_path, "stubborn", "parent")
    orphan = psutil.Process(int(mark.read_text()))
    crew.send_signal(signal.SIGTERM)
    output, _ = crew.communicate(timeout=40)
    assert "stubborn did not stop within" in output
    assert not orphan.is_running()


def test_a_fallen_process_is_started_again_and_a_hopeless_one_ends_the_run(tmp_path: Path) -> None:
    rows = [("broken", "import sys; print('cannot find my model'); sys.exit(4)", 1, 5.0)]
    crew = start(tmp_path, rows)
    output, _ = crew.communicate(timeout=40)
    assert crew.returncode == 1
    assert output.count("starting it again") == 2
    assert "cannot find my model" in output


def test_nothing_outlives_a_supervisor_killed_hard(tmp_path: Path) -> None:
    mark = tmp_path / "order"
    crew = start(tmp_path, [("bronze", PATIENT.format(mark=str(mark), name="bronze"), 1, 5.0)])
    wait_up(tmp_path, "bronze")
    family = psutil.Process(crew.pid).children(recursive=True)
    assert family
    crew.kill()
    crew.communicate(timeout=10)
    psutil.wait_procs(family, timeout=15)
    assert [process for process in family if process.is_running()] == []


def test_the_demo_stops_producers_first_then_drains_bronze_then_the_rest() -> None:
    stages = {
        row.name: row.stage for row in table(Environment({"DEPLOYMENT": "test", "VAR_DIR": os.devnull + "-none"}))
    }
    assert stages["simulator"] < stages["bronze"] < stages["live"] < stages["worker"]


@pytest.mark.parametrize("name", ["web", "api"])
def test_processes_with_a_page_say_where_they_answer(name: str) -> None:
    rows = {row.name: row for row in table(Environment({"DEPLOYMENT": "test"}))}
    assert rows[name].port in ("WEB_PORT", "API_PORT")
