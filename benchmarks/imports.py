"""What ``import novitai_sdk`` costs, as a ratio to importing attrs, cattrs and anyio together.

    python benchmarks/imports.py [rounds]

Each import runs in a fresh interpreter that times itself, so starting Python is not counted. The two
sides take turns: a machine that grows slower or faster meanwhile does so for both.
"""

import os
import subprocess
import sys
from statistics import median

SIDES = {
    "attrs, cattrs, anyio": "import attrs, cattrs, anyio",
    "novitai_sdk": "import novitai_sdk",
}
TIMED = """
import time
start = time.perf_counter()
{statement}
print(time.perf_counter() - start)
"""


# Libraries are installed with their bytecode; a checkout has to be let write its own, or it would be compiled
# at every start and measured for something no user meets.
ENVIRONMENT = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(statement: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement=statement)],
        check=True,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def main(rounds: int) -> None:
    for statement in SIDES.values():
        seconds(statement)  # the first one writes the bytecode the others read
    taken: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name, statement in SIDES.items():
            taken[name].append(seconds(statement))
    for name, times in taken.items():
        print(f"{name:>22}  {median(times) * 1000:7.1f} ms   (fastest {min(times) * 1000:.1f} ms)")
    base, ours = (median(times) for times in taken.values())
    print(f"{'ratio':>22}  {ours / base:7.2f}      (at most 1.4)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
