"""Turns measurements into Markdown tables, which are also what is printed."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from footprint import Growth, Idle
    from load import Sample
    from scenarios import Scenario
    from servers import Server

    Round = Mapping[str, Sample]
    """The samples of one round by the server's name; a server that failed is missing."""

# Ratios are given against these, where they were measured.
BASELINES = ("uvicorn", "granian", "hypercorn", "bicorn-off")


@dataclass(frozen=True)
class Column:
    """One figure of a sample: how the table calls it, takes it and prints it."""

    title: str
    take: Callable[[Sample], float | None]
    """None where it was not measured."""
    form: str

    def cell(self, samples: Sequence[Sample]) -> str:
        """Print the median."""
        values = [value for value in map(self.take, samples) if value is not None]
        return format(statistics.median(values), self.form) if values else "–"


COLUMNS = (
    Column("requests/s", lambda sample: sample.rate, ",.0f"),
    Column("CPU µs/request", lambda sample: sample.cpu_us, ".1f"),
    Column("p50 ms", lambda sample: _milliseconds(sample.p50_us), ".2f"),
    Column("p99 ms", lambda sample: _milliseconds(sample.p99_us), ".2f"),
    Column("memory MiB", lambda sample: sample.memory_bytes / 1024**2, ".1f"),
    Column("client cores", lambda sample: sample.client_cores, ".2f"),
    Column("other cores", lambda sample: sample.other_cores, ".2f"),
)


def scenario_section(scenario: Scenario, servers: Sequence[Server], rounds: Sequence[Round]) -> str:
    """Make the table of one scenario."""
    baselines = _baselines(servers, rounds)
    header = ["server", "±", *(column.title for column in COLUMNS)]
    for label in baselines:
        header += [f"rate / {label}", f"CPU / {label}"]
    rows = []
    for server in servers:
        name = server.name
        samples = [samples[name] for samples in rounds if name in samples]
        if not samples:
            # A server that does not speak what the scenario is about has no figure; one that does, failed.
            outcome = "failed" if scenario.protocol in server.protocols else "–"
            rows.append([name, *(outcome for _ in header[1:])])
            continue
        row = [name, f"{_spread(samples):.0%}"]
        row += [column.cell(samples) for column in COLUMNS]
        for baseline in baselines.values():
            both = [(samples[name], samples[baseline]) for samples in rounds if {name, baseline} <= samples.keys()]
            row += [_ratio(both, lambda sample: sample.rate), _ratio(both, lambda sample: sample.cpu_us)]
        rows.append(row)
    return f"## {scenario.title}\n\n`{scenario.name}`\n\n{_table(header, rows)}"


def twin_line(twin: str, servers: Sequence[Server], rounds: Sequence[Round], twin_rounds: Sequence[Round]) -> str:
    """Say of each server that ran both how `def` compares with its own `async def`."""
    parts = []
    for name in (server.name for server in servers):
        both = [
            (samples[name], twins[name])
            for samples, twins in zip(rounds, twin_rounds, strict=True)
            if name in samples and name in twins
        ]
        if both:
            rate, cpu = _ratio(both, lambda sample: sample.rate), _ratio(both, lambda sample: sample.cpu_us)
            parts.append(f"{name} {rate} and {cpu}")
    return f"By the same server's `{twin}`, rate and CPU: {'; '.join(parts) or '–'}"


def start_section(seconds: Mapping[str, float]) -> str:
    """Make the table of start-up times."""
    rows = [[name, f"{value * 1000:.0f}"] for name, value in seconds.items()]
    return f"## Start-up to the first answer, raw ASGI hello, median of 10\n\n{_table(['server', 'ms'], rows)}"


def idle_section(idles: Mapping[str, Idle]) -> str:
    """Make the table of idle memory."""
    rows = [
        [name, _mebibytes(idle.fresh_bytes), f"{idle.bytes_per_connection / 1024:.2f}"] for name, idle in idles.items()
    ]
    header = ["server", "memory MiB, raw ASGI hello at rest", "KiB per idle connection of 5,000"]
    return f"## Memory at rest\n\n{_table(header, rows)}"


def growth_section(growths: Mapping[str, Growth]) -> str:
    """Make the table of memory growth."""
    rows = []
    for name, growth in growths.items():
        grown = growth.late_bytes - growth.early_bytes
        rows.append(
            [
                name,
                _mebibytes(growth.early_bytes),
                _mebibytes(growth.late_bytes),
                f"{grown / 1024:,.0f}",
                f"{grown / growth.requests:.3f}",
            ]
        )
    header = ["server", "MiB after 100,000 requests", "MiB after 1,000,000", "growth KiB", "bytes per request"]
    return f"## Memory growth under load\n\n{_table(header, rows)}"


def machine_section(seconds: int, rounds: int) -> str:
    """Say where and with what the figures were made; no paths and no names of hosts."""
    cores = os.cpu_count()
    servers = ("bicorn", "uvicorn", "granian", "hypercorn", "uvloop", "httptools", "websockets", "h2")
    packages = (*servers, "starlette", "sse-starlette", "fastapi", "pydantic", "anyio", "sqlalchemy", "aiosqlite")
    lines = [
        f"- CPU: {_cpu_model()}, {cores} cores; {_memory_gibibytes()} GiB of memory",
        f"- Kernel: {platform.system()} {platform.release().split('-')[0]}",
        f"- Python: {platform.python_implementation()} {platform.python_version()}; {_rustc()}; {_wrk()}; {_h2load()}",
        f"- Packages: {', '.join(f'{name} {_version(name)}' for name in packages)}",
        f"- {rounds} rounds of {seconds} s in turns, after 1 s of warm-up each; medians. How: `benchmarks/README.md`",
        "- ±: half the distance between the fastest and the slowest round. Ratios are medians of each round's ratio",
        "- client cores near 1: the load generator was the limit. Other cores above 0.05: other work disturbed the run",
    ]
    return "\n".join(lines)


def _baselines(servers: Iterable[Server], rounds: Sequence[Round]) -> dict[str, str]:
    """Find the fastest server of each baseline's family."""
    rates = {
        server: statistics.median(samples[server.name].rate for samples in rounds if server.name in samples)
        for server in servers
        if any(server.name in samples for samples in rounds)
    }
    found = {}
    for label in BASELINES:
        family = [server for server in rates if server.label == label]
        if family:
            found[label] = max(family, key=rates.__getitem__).name
    return found


def _ratio(pairs: Sequence[tuple[Sample, Sample]], take: Callable[[Sample], float]) -> str:
    """Compare within each round, whose runs are neighbours in time, and take the median over the rounds."""
    if not pairs:
        return ""
    return f"{statistics.median(take(sample) / take(baseline) for sample, baseline in pairs):.2f}"


def _spread(samples: Sequence[Sample]) -> float:
    rates = [sample.rate for sample in samples]
    return (max(rates) - min(rates)) / 2 / statistics.median(rates)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(aligned)} |"

    rule = f"|---|{'---:|' * (len(header) - 1)}"
    return "\n".join([line(header), rule, *map(line, rows)])


def _milliseconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e3


def _mebibytes(size: float) -> str:
    return f"{size / 1024**2:.1f}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gibibytes() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3)


def _rustc() -> str:
    return " ".join(_first_line("rustc", "--version").split()[:2])


def _wrk() -> str:
    # "wrk debian/4.1.0-3 [epoll] Copyright …"
    return " ".join(_first_line("wrk", "-v").split()[:2])


def _h2load() -> str:
    # "h2load nghttp2/1.52.0"
    return _first_line("h2load", "--version")


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return f"{command[0]} (not found)"
    return (done.stdout or done.stderr).splitlines()[0]
