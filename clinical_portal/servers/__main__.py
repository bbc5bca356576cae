"""``python -m clinical_portal.servers <verb>``: the embedded servers from a terminal.

up [NAME…]      start them (all when none is named); they stay when this command ends
down            stop them
status          what runs, where, and with how much memory
exec -- CMD…    start what is missing, run CMD with the addresses in its environment, stop what was started
shell           the same with your shell
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from clinical_portal.env import env
from clinical_portal.java import java_home
from clinical_portal.servers.stack import ServerFailed, Stack, memory_mib
from clinical_portal.servers.table import BY_NAME


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m clinical_portal.servers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("up", "exec", "shell"):
        part = verbs.add_parser(verb)
        part.add_argument("--only", action="append", choices=list(BY_NAME), help="a server to start; may be repeated")
        if verb == "exec":
            part.add_argument("command", nargs=argparse.REMAINDER)
    for verb in ("down", "status"):
        verbs.add_parser(verb)
    given = parser.parse_args(arguments)
    stack = Stack(env.var_dir, follow=given.verb != "up", say=lambda line: print(line, file=sys.stderr, flush=True))
    try:
        return _do(given, stack)
    except ServerFailed as error:
        print(error, file=sys.stderr)
        return 1


def _do(given: argparse.Namespace, stack: Stack) -> int:
    names = tuple(getattr(given, "only", None) or BY_NAME)
    if given.verb == "down":
        if stack.file.read().owner_alive():
            print(
                "These servers belong to a `make run` that is still up: stop it with Ctrl-C in its terminal.",
                file=sys.stderr,
            )
            return 1
        stack.stop()
        return 0
    if given.verb == "status":
        return _status(stack)
    if given.verb == "up":
        for name, address in stack.ensure(*names).items():
            print(f"export {name}={address}")
        return 0
    command = (
        given.command[1:] if given.verb == "exec" and given.command[:1] == ["--"] else getattr(given, "command", [])
    )
    if given.verb == "shell":
        command = [env.shell()]
    if not command:
        print("exec wants a command after --", file=sys.stderr)
        return 2
    try:
        extra = dict(stack.ensure(*names))
        extra["PATH"] = env.path(Path(sys.executable).parent)  # `python manage.py …` is this checkout's python
        if home := java_home(env.text("JAVA_HOME"), stack.var_dir):
            extra["JAVA_HOME"] = str(home)
        try:
            return subprocess.call(command, env=env.child(**extra))
        except KeyboardInterrupt:
            return 130
    finally:
        stack.stop_started()


def _status(stack: Stack) -> int:
    state, running = stack.file.read(), stack.running()
    for name in BY_NAME:
        if name in running:
            print(f"{name:10} port {state.ports[name]}  pid {running[name].pid}  {memory_mib(running[name]):.0f} MiB")
        else:
            print(f"{name:10} stopped")
    return 0 if running else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
