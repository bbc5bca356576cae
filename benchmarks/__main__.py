"""``make bench [NAME=…]``: run one benchmark or all, each in a process of its own, and end with their verdict lines.

A benchmark is a module of this folder run as a program. Its last line has one form:
``serving: ours 1234 req/s, peer 280 req/s, ratio 4.4, goal >= 4.0, met``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def main(arguments: list[str]) -> int:
    wanted = [name for name in arguments if name] or names()
    if unknown := [name for name in wanted if name not in names()]:
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(names())}.", file=sys.stderr)
        return 2
    verdicts, code = [], 0
    for name in wanted:
        print(f"== {name}", flush=True)
        last = ""
        with subprocess.Popen([sys.executable, "-m", f"benchmarks.{name}"], stdout=subprocess.PIPE, text=True) as child:
            for line in child.stdout or ():
                print(line, end="", flush=True)
                last = line.strip() or last
        failed = child.returncode != 0
        code = code or int(failed)
        verdicts.append(f"{name}: ended with code {child.returncode}" if failed else last)
    print("\n" + "\n".join(verdicts))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
