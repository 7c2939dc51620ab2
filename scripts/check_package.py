"""Checks what a wheel or a source distribution contains: all of the package, and nothing else.

Usage: python scripts/check_package.py FILE VERSION   (exit 1 and one line for each fault)
"""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
# The extension of a release is 7 MiB; one with symbols would be 100.
MAX_WHEEL_BYTES = 8 * 1024 * 1024
MAX_SDIST_BYTES = 1024 * 1024
PLATFORMS = ("manylinux_", "musllinux_", "macosx_", "win_", "win32")


def main() -> int:
    """Print each fault; 1 if there are any."""
    path, version = Path(sys.argv[1]), sys.argv[2]
    faults = list(_wheel_faults(path, version) if path.suffix == ".whl" else _sdist_faults(path, version))
    for fault in faults:
        print(f"{path.name}: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _package_files() -> set[str]:
    files = (path for path in (ROOT / "python").rglob("*") if path.is_file())
    return {
        path.relative_to(ROOT / "python").as_posix()
        for path in files
        if path.suffix != ".so" and "__pycache__" not in path.parts
    }


def _wheel_faults(path: Path, version: str) -> Iterator[str]:
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(f"bicorn-{version}.dist-info/METADATA").decode()
        tags = HeaderParser().parsestr(wheel.read(f"bicorn-{version}.dist-info/WHEEL").decode())
    information = {name for name in names if name.startswith(f"bicorn-{version}.dist-info/")}
    extensions = {name for name in names if re.fullmatch(r"bicorn/_bicorn\.[\w.-]+\.(so|pyd)", name)}
    yield from _differences(_package_files(), names - information - extensions)
    if len(extensions) != 1:
        yield f"one extension is expected: {sorted(extensions)}"
    for needed in ("licenses/LICENSE", "entry_points.txt", "RECORD"):
        if f"bicorn-{version}.dist-info/{needed}" not in information:
            yield f"without {needed}"
    for needed in ("py.typed", "_bicorn.pyi"):
        if f"bicorn/{needed}" not in names:
            yield f"without {needed}"
    yield from _metadata_faults(metadata, version)
    python, abi, platform = path.stem.split("-")[2:]
    if python != abi or not re.fullmatch(r"cp3\d+", python):
        yield f"not for one version of CPython: {python}-{abi}"
    if not platform.startswith(PLATFORMS):
        yield f"a platform that the index does not take: {platform}"
    if tags["Tag"] != f"{python}-{abi}-{platform}" or tags["Root-Is-Purelib"] != "false":
        yield f"WHEEL says {tags.items()}"
    if path.stat().st_size > MAX_WHEEL_BYTES:
        yield f"more than {MAX_WHEEL_BYTES} bytes: {path.stat().st_size}"


def _sdist_faults(path: Path, version: str) -> Iterator[str]:
    top = f"bicorn-{version}/"
    with tarfile.open(path) as sdist:
        names = {member.name.removeprefix(top) for member in sdist if member.isfile()}
        information = sdist.extractfile(f"{top}PKG-INFO")
        assert information is not None, "a member that is a file"
        metadata = information.read().decode()
    root = {"Cargo.lock", "Cargo.toml", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    manifests = {found.relative_to(ROOT).as_posix() for found in (ROOT / "crates").glob("*/Cargo.toml")}
    package = {f"python/{name}" for name in _package_files()}
    sources = {name for name in names if re.fullmatch(r"crates/bicorn-\w+/src/[\w/]+\.rs", name)}
    yield from _differences(root | manifests | package, names - sources)
    on_disk = {found.relative_to(ROOT).as_posix() for found in (ROOT / "crates").glob("*/src/**/*.rs")}
    yield from _differences(on_disk, sources)
    yield from _metadata_faults(metadata, version)
    if path.stat().st_size > MAX_SDIST_BYTES:
        yield f"more than {MAX_SDIST_BYTES} bytes: {path.stat().st_size}"


def _differences(expected: set[str], found: set[str]) -> Iterator[str]:
    for name in sorted(expected - found):
        yield f"without {name}"
    for name in sorted(found - expected):
        yield f"with {name}"


def _metadata_faults(text: str, version: str) -> Iterator[str]:
    metadata = HeaderParser().parsestr(text)
    expected = {
        "Name": "bicorn",
        "Version": version,
        "Requires-Python": ">=3.10",
        "License-Expression": "MIT",
        "License-File": "LICENSE",
    }
    for name, value in expected.items():
        if metadata[name] != value:
            yield f"{name} is {metadata[name]}, not {value}"
    for requirement in metadata.get_all("Requires-Dist", []):
        if "extra ==" not in requirement:
            yield f"depends on {requirement}"


if __name__ == "__main__":
    sys.exit(main())
