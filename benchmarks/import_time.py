"""Compares what importing bicorn and importing uvicorn cost, in one alternating run.

    .venv/bin/python benchmarks/import_time.py [--rounds 21]

Each figure is processor time, user and system, so that other programs disturb little: the median over new processes,
less an interpreter that imports nothing. The ratio is to uvicorn's. Bytecode is cached before the first round.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys

NOTHING = "pass"
PAIRS = (
    # What programs do first, what `run` and embedders need, and what a server process has imported.
    ("import", "import {0}"),
    ("Config, Server", "import {0}; {0}.Config; {0}.Server"),
    ("Config(app)", "import {0}; {0}.Server({0}.Config(print, loop='asyncio', log_config=None))"),
)
NAMES = ("bicorn", "uvicorn")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21, help="processes for each figure")
    rounds = parser.parse_args().rounds

    programs = [NOTHING, *(code.format(name) for _, code in PAIRS for name in NAMES)]
    seconds: dict[str, list[float]] = {program: [] for program in programs}
    for program in programs:
        run(program)
    for number in range(rounds):
        # Backwards in every second round, so that nobody always comes behind the same neighbour.
        for program in programs if number % 2 == 0 else reversed(programs):
            seconds[program].append(run(program))
    nothing = statistics.median(seconds[NOTHING])

    print(f"CPython {platform.python_version()}, {rounds} rounds; an interpreter alone takes {nothing * 1e3:.1f} ms\n")
    print("| | " + " | ".join(f"{name}, ms" for name in NAMES) + " | ratio |")
    print("|---|---|---|---|")
    for title, code in PAIRS:
        bicorn, uvicorn = (statistics.median(seconds[code.format(name)]) - nothing for name in NAMES)
        print(f"| {title} | {bicorn * 1e3:.1f} | {uvicorn * 1e3:.1f} | {bicorn / uvicorn:.2f} |")


def run(program: str) -> float:
    """Run a program in a new process and return the processor time it took, in seconds."""
    # Isolated: what the environment and the current directory would add is not what is compared.
    command = [sys.executable, "-I", "-c", program]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"this program failed: {program}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
