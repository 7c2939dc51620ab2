"""What programs pay for `import bicorn`; `benchmarks/import_time.py` has the figures."""

from __future__ import annotations

import os
import subprocess
import sys

# Of what `import uvicorn` costs. It is 0.01 where nobody has imported the server yet.
MOST = 0.6


def processor_seconds(code: str) -> float:
    """Return what a program costs at least, in user and system time: other programs disturb that little."""
    costs: list[float] = []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-I", "-c", code], stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, code
        costs.append(usage.ru_utime + usage.ru_stime)
    return min(costs)


def test_import_costs_much_less_than_uvicorns() -> None:
    nothing = processor_seconds("pass")
    bicorn = processor_seconds("import bicorn; bicorn.run, bicorn.main") - nothing
    uvicorn = processor_seconds("import uvicorn") - nothing
    assert bicorn <= MOST * uvicorn, (bicorn, uvicorn)
