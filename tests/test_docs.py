"""The documentation holds together: links lead somewhere, commands parse, options exist, manifests are YAML."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bicorn._bicorn import CommandLineExit, parse_command_line
from tests import raw
from tests.serving import REPOSITORY, serve_process

DOCS = REPOSITORY / "docs"
INDEX = DOCS / "index.md"
# Decisions are a folder of their own, with one link to it.
PAGES = sorted(DOCS.glob("*.md")) + sorted((DOCS / "deployment").glob("*.md"))
READ = [*PAGES, *sorted((DOCS / "decisions").glob("*.md"))] + [
    REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md")
]

FENCE = re.compile(r"^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
# Lines of a shell, and of the ways to start a process that the pages show.
START = re.compile(r"^\s*(?:\$ |# )?(?:\w+=\S* )*(?:\S*/)?bicorn(?= )")

# A file that a command wants to be there.
FILE = re.compile(r"[\w-]+\.(?:yaml|json|ini|env|pem)")

# Options in prose and tables that are somebody else's: Docker's and curl's.
FOREIGN = {"--ulimit", "--restart", "--http2-prior-knowledge", "--unix-socket"}


def outside_code(text: str) -> str:
    """Return what is prose: without fenced blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(page: Path) -> set[str]:
    """Return the fragments of a page's headings, made as GitHub makes them."""
    found: dict[str, int] = {}
    result = set()
    for heading in HEADING.findall(FENCE.sub("", page.read_text())):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = found.get(slug, 0)
        found[slug] = number + 1
        result.add(f"{slug}-{number}" if number else slug)
    return result


def links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Yield each relative link of a page: as it is written, the file, the fragment."""
    for link in LINK.findall(outside_code(page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        yield link, (page.parent / path).resolve() if path else page, fragment


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the fenced blocks of a page that are in one of the languages."""
    return [match["text"] for match in FENCE.finditer(page.read_text()) if match["language"] in languages]


def name(page: Path) -> str:
    """Return what a page is called in this repository."""
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", READ, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for link, file, fragment in links(page):
        if not file.exists() or (fragment and file.suffix == ".md" and fragment not in anchors(file)):
            wrong.append(link)
    assert wrong == []


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = {INDEX}, [INDEX]
    while waiting:
        for _, file, _ in links(waiting.pop()):
            if file.suffix == ".md" and file.is_relative_to(DOCS) and file.exists() and file not in reached:
                reached.add(file)
                waiting.append(file)
    assert [name(page) for page in PAGES if page not in reached] == []


def command_lines(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of each `bicorn …` that a page has somebody type or start."""
    for text in blocks(page, "sh", "console", "ini", "dockerfile"):
        for line in re.sub(r"\\\n", " ", text).splitlines():
            command = line.partition("ExecStart=")[2] or line.partition("socket-activate -l 127.0.0.1:8000 ")[2] or line
            if START.match(command):
                yield shlex.split(START.sub("", command), comments=True)
            elif line.startswith("CMD ["):
                yield re.findall(r'"([^"]*)"', line)[1:]


@pytest.mark.parametrize("page", [page for page in READ if any(command_lines(page))], ids=name)
def test_command_lines_parse(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = []
    for arguments in command_lines(page):
        # What a reader is to put something in the place of.
        words = ["main:app" if word in ("…", "...") else word for word in arguments]
        for word in words:
            if FILE.fullmatch(word):
                (tmp_path / word).touch()
        try:
            parse_command_line(words, {}, "")
        except CommandLineExit as leave:
            text, code, _ = leave.args
            if code != 0:
                wrong.append((shlex.join(words), text))
    assert wrong == []


def own_options() -> set[str]:
    """Return every option that `bicorn --help` names."""
    with pytest.raises(CommandLineExit) as caught:
        parse_command_line(["--help"], {}, "")
    return set(OPTION.findall(caught.value.args[0]))


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "gunicorn.md"], ids=name)
def test_options_exist(page: Path) -> None:
    own = own_options()
    # Blocks are commands: those of bicorn are parsed, and others are others' own.
    named = set(OPTION.findall(FENCE.sub("", page.read_text()))) - FOREIGN
    # "--http2-" stands for all that begin so.
    wrong = [option for option in named if option not in own and not is_prefix(option, own)]
    assert sorted(wrong) == []


def is_prefix(option: str, own: set[str]) -> bool:
    """Tell whether it stands for several options."""
    return option.endswith("-") and any(one.startswith(option) for one in own)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=name)
def test_yaml_is_yaml(page: Path) -> None:
    yaml = pytest.importorskip("yaml")
    for text in blocks(page, "yaml"):
        assert list(yaml.safe_load_all(text)), text


def test_kubernetes_asks_bicorn_for_what_it_can() -> None:
    yaml = pytest.importorskip("yaml")
    (text,) = blocks(DOCS / "deployment" / "kubernetes.md", "yaml")
    deployment, service = yaml.safe_load_all(text)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    options = parse_command_line(container["args"][1:], {}, "")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": options["port"], "admin": int(options["admin_bind"].rpartition(":")[2])}
    # What the end takes, and some seconds for the application's own shutdown.
    assert pod["terminationGracePeriodSeconds"] >= options["drain_delay"] + options["timeout_graceful_shutdown"] + 5
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's programs")
def test_units_are_as_systemd_wants_them(tmp_path: Path) -> None:
    page = DOCS / "deployment" / "systemd.md"
    named = dict(text.removeprefix("# ").split("\n", 1) for text in blocks(page, "ini"))
    assert set(named) == {"app.service", "app.socket", "socket.conf"}
    (tmp_path / "app.service.d").mkdir()
    for unit, text in named.items():
        # What is started has to be there.
        text = re.sub(r"/srv/app/\S*bicorn", sys.executable, text).replace("/srv/app", str(tmp_path))
        (tmp_path / ("app.service.d/socket.conf" if unit == "socket.conf" else unit)).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "app.service", "app.socket"],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
        timeout=25,
    )
    # What it does not know is a line, and no failure.
    assert (done.returncode, [line for line in done.stderr.splitlines() if "app." in line]) == (0, [])


@pytest.mark.parametrize(("number", "answer"), [(0, b"hello from /world\n"), (1, b'{"hello":"world"}')])
def test_first_application_answers(number: int, answer: bytes, tmp_path: Path) -> None:
    page = DOCS / "first-app.md"
    (tmp_path / "main.py").write_text(blocks(page, "python")[number])
    with serve_process("main:app", cwd=tmp_path) as server, server.connect() as client:
        response = client.exchange(raw.request(target="/world"))
    assert (response.status, response.body) == (200, answer)
    if number == 0:
        # What the page has a terminal say: the command is bicorn's, the answer curl's.
        start, end = blocks(page, "console")
        assert end.endswith(f"\n{answer.decode()}")
        said = [line for line in start.splitlines() if line.startswith("INFO:")]
        assert server.stderr is not None
        logged = server.stderr.text.splitlines()[: len(said)]
        assert [as_on_any_day(line) for line in logged] == [as_on_any_day(line) for line in said]


def as_on_any_day(line: str) -> str:
    """Leave out what differs each time: process and port."""
    return re.sub(r"\[\d+\]|:\d+ ", "", line)
