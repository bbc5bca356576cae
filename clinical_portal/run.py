"""``make run``: servers, database, the demo's first steps, then every process in the foreground until Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from clinical_portal import processes
from clinical_portal.crew import Crew, answers, clear_leftovers
from clinical_portal.env import BASE_DIR, Environment, env
from clinical_portal.java import java_home
from clinical_portal.servers import process
from clinical_portal.servers.process import Identity
from clinical_portal.servers.stack import ServerFailed, Stack, memory_mib

BEGAN = time.monotonic()
#: Written by ``manage.py demo_prepare``: sign-ins and the API key, shown when the portal answers.
WELCOME = "welcome.txt"


def say(line: str) -> None:
    """One line of progress, with the seconds since the start."""
    show(f"[{time.monotonic() - BEGAN:6.1f} s] {line}")


def show(text: str) -> None:
    """Text for the terminal. A terminal that was closed must not keep us from stopping whole."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as we live


class Interrupted(Exception):
    """Ctrl-C or a termination during the start."""


def main() -> int:
    """Exit code: 0 after a proper stop, 1 when something could not run."""
    process.adopt_orphans()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupt)
    stack = Stack(env.var_dir, say=say)
    state = stack.file.read()
    if state.owner_alive():
        pid = state.owner["pid"] if state.owner else 0
        print(
            f"This checkout already runs (process {pid:.0f}): http://127.0.0.1:{env.integer('WEB_PORT')}. Stop it with Ctrl-C "
            "in its terminal."
        )
        return 1
    if taken := [name for name in ("WEB_PORT", "API_PORT") if answers(env.integer(name))]:
        clear_leftovers(stack.file, say)
        taken = [name for name in taken if answers(env.integer(name))]
    for name in taken:
        print(
            f"Port {env.integer(name)} is taken by another program: set {name} to a free one, e.g. "
            f"{name}={env.integer(name) + 100} make run"
        )
    if taken:
        return 1
    code = 1
    try:
        clear_leftovers(stack.file, say)
        code = _run(stack)
    except Interrupted:
        say("interrupted: what was done is kept, `make run` goes on from there")
        code = 130
    except (ServerFailed, subprocess.CalledProcessError) as error:
        say(str(error))
    finally:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)  # the servers stop whole, or the next start repairs
        stack.stop()
        _sweep()
        say("everything is stopped")
    return code


def _run(stack: Stack) -> int:
    addresses = stack.ensure("postgres", "valkey", "broker", own=True)
    addresses |= stack.begin("mlflow")  # seven seconds, beside the migrations
    settled = _environment(stack, addresses, env)
    say("migrating the database")
    _manage(settled, "migrate", "--noinput", "--verbosity", "0")
    prepared = Path(stack.var_dir, WELCOME).exists()
    if not prepared:
        settled = _environment(stack, stack.ensure("mlflow"), env)
    if has_command("demo_prepare"):
        _manage(settled, "demo_prepare")
    if prepared:  # what is left to prepare takes a second and needs no MLflow
        settled = _environment(stack, stack.ensure("mlflow"), env)
    crew = Crew(env.var_dir, say)
    ports = {name: env.integer(name) for name in ("WEB_PORT", "API_PORT")}
    metrics = str(_emptied(env.var_dir / "metrics"))  # all processes add up in it, and /metrics of any shows the sum
    for row in processes.table(env):
        if row.management_command and not has_command(row.management_command):
            say(f"{row.name} is left out: this project has no command {row.management_command}")
            continue
        say(f"starting {row.name}: {row.why}")
        extra = {
            "COMPONENT": row.name,
            "DJANGO_SETTINGS_MODULE": f"clinical_portal.settings.{row.settings}",
            "PROMETHEUS_MULTIPROC_DIR": metrics,
        }
        crew.add(row, {**settled, **extra})
    return crew.run(ports, on_ready=lambda: _welcome(stack))


def _environment(stack: Stack, addresses: Mapping[str, str], env: Environment) -> dict[str, str]:
    """What every process of the stack is given."""
    extra = dict(addresses)
    if home := java_home(env.text("JAVA_HOME"), stack.var_dir):
        extra["JAVA_HOME"] = str(home)
    return env.child(**extra, PYTHONUNBUFFERED="1")


def _emptied(folder: Path) -> Path:
    """``folder`` without files: the sums of processes of an earlier run are not this one's."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def has_command(verb: str) -> bool:
    """Whether one of our apps brings ``manage.py verb``."""
    return any((BASE_DIR / "apps").glob(f"*/management/commands/{verb}.py"))


def _manage(settled: Mapping[str, str], *arguments: str) -> None:
    """Run a management command in the foreground; it dies with us."""
    child = subprocess.Popen(
        [sys.executable, str(BASE_DIR / "manage.py"), *arguments],
        env={**settled, "COMPONENT": arguments[0]},
        start_new_session=True,  # Ctrl-C comes to us alone; we pass it on and wait
        preexec_fn=process.die_with_parent(),  # noqa: PLW1509 - this program has no threads
    )
    identity = Identity.of(child.pid)
    try:
        code = child.wait()
    except Interrupted:
        if identity is not None:
            process.end(identity, patience=30)
        raise
    if code:
        raise subprocess.CalledProcessError(code, f"manage.py {' '.join(arguments)}")


def _welcome(stack: Stack) -> None:
    say(f"the portal answers: http://127.0.0.1:{env.integer('WEB_PORT')}")
    note = Path(stack.var_dir, WELCOME)
    if note.exists():
        show(note.read_text().rstrip())
    servers = sum(memory_mib(identity) for identity in stack.running().values())
    here = Identity.of(os.getpid())
    total = memory_mib(here) if here else 0.0
    say(f"memory of everything together: {total:.0f} MiB, of which the servers {servers:.0f} MiB. Stop with Ctrl-C.")


def _sweep() -> None:
    """End whatever of ours still runs; orphans came to us."""
    import psutil

    process.end_all(psutil.Process().children(recursive=True))


def _interrupt(*_: object) -> None:
    raise Interrupted


if __name__ == "__main__":
    sys.exit(main())
