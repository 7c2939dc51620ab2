"""The shim: `import uvicorn` gives bicorn, in a program and in the processes that it starts."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
import textwrap
import venv
from pathlib import Path
from typing import Any

import pytest
import uvicorn

import bicorn
from bicorn.shim.modules import MODULES, WITHOUT_COUNTERPART
from tests import raw
from tests.serving import REPOSITORY, serve_process
from tests.supervisors.service import Service

INSTALL = "import bicorn.shim; bicorn.shim.install()"
# `tests/serving.py` adds `-m` in front.
SHIM = {"server_name": "bicorn.shim", "port": None}


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=20,
        env={**os.environ, **environment},
    )


def output_of(code: str, *options: str, **environment: str) -> str:
    """Run a program that is to succeed, and return what it prints."""
    result = python(*options, "-c", textwrap.dedent(code), **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


# What is imported.


def test_names_are_bicorns_own() -> None:
    code = f"""
        {INSTALL}
        import uvicorn, bicorn, bicorn.config, bicorn.server
        assert uvicorn.Config is bicorn.Config and uvicorn.Server is bicorn.Server and uvicorn.run is bicorn.run
        assert uvicorn.config is bicorn.config and uvicorn.server is bicorn.server
        import uvicorn.config
        assert uvicorn.config.LOGGING_CONFIG is bicorn.config.LOGGING_CONFIG
        from uvicorn.lifespan.on import LifespanOn
        from uvicorn.loops.auto import auto_loop_factory
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
        from uvicorn.protocols.utils import ClientDisconnected
        from bicorn import errors
        assert ClientDisconnected is errors.ClientDisconnected
        print(uvicorn.__version__, sorted(uvicorn.__all__))
    """
    assert output_of(code) == f"{uvicorn.__version__} {sorted(uvicorn.__all__)}"


def test_main_is_the_function_and_the_module() -> None:
    code = f"""
        {INSTALL}
        import uvicorn, uvicorn.main, importlib, bicorn
        module = importlib.import_module("uvicorn.main")
        assert uvicorn.main is module.main is bicorn.main
        assert module.Server is uvicorn.Server and module.run is uvicorn.run
    """
    output_of(code)


def test_every_module_of_uvicorn_is_here_or_named_as_missing() -> None:
    theirs = {module.name.removeprefix("uvicorn.") for module in pkgutil.walk_packages(uvicorn.__path__, "uvicorn.")}
    assert {*MODULES, *WITHOUT_COUNTERPART} == theirs


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"__main__", "workers"}))
def test_module_can_be_imported(name: str) -> None:
    output_of(f"{INSTALL}; import uvicorn.{name}")


def test_modules_that_uvicorn_does_not_have_are_not_found() -> None:
    # `listeners` is there in bicorn, and the folder of bicorn's package must not be searched for it.
    code = f"""
        {INSTALL}
        for name in ("listeners", "supervisors.nothing", "middleware.nothing"):
            try:
                __import__("uvicorn." + name)
            except ModuleNotFoundError as error:
                print(error.name, error)
    """
    lines = output_of(code).splitlines()
    assert lines[0] == (
        "uvicorn.listeners No module named 'uvicorn.listeners' in uvicorn 0.54.0, which bicorn stands for"
    )
    assert len(lines) == 3


def test_module_without_a_counterpart_says_what_to_use() -> None:
    result = python("-c", f"{INSTALL}; import uvicorn.protocols.http.zttp_h2_impl")
    assert "ModuleNotFoundError: No module named 'uvicorn.protocols.http.zttp_h2_impl' in bicorn" in result.stderr
    assert "ASGI middleware" in result.stderr


def test_protocol_class_can_be_imported_but_not_derived_from() -> None:
    code = "from uvicorn.protocols.http.h11_impl import H11Protocol\nclass Mine(H11Protocol): pass"
    result = python("-c", f"{INSTALL}\n{code}")
    assert "cannot derive Mine from bicorn.protocols.http.h11_impl.H11Protocol" in result.stderr


def test_patches_reach_the_server() -> None:
    code = f"""
        {INSTALL}
        import uvicorn, uvicorn.main, bicorn.server
        import sys
        def handle_exit(*args): pass
        uvicorn.Server.handle_exit = handle_exit
        uvicorn.Server.install_signal_handlers = lambda self: None
        assert bicorn.server.Server.handle_exit is handle_exit
        sys.modules["uvicorn.main"].run = lambda app, **options: print(app)
        uvicorn.main.main(["a:b"], standalone_mode=False)
    """
    assert output_of(code).startswith("a:b")


def test_formatters_are_found_by_uvicorns_names() -> None:
    code = f"""
        {INSTALL}
        import copy, logging, uvicorn
        config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
        config["formatters"]["default"]["()"] = "uvicorn.logging.DefaultFormatter"
        config["formatters"]["access"]["()"] = "uvicorn.logging.AccessFormatter"
        uvicorn.Config("tests.apps:hello", log_config=config)
        print(*(type(logging.getLogger(name).handlers[0].formatter) for name in ("uvicorn", "uvicorn.access")))
    """
    assert output_of(code) == "<class 'bicorn.logging.DefaultFormatter'> <class 'bicorn.logging.AccessFormatter'>"


# When it is installed, and whether uvicorn is.


def test_install_comes_too_late_once_uvicorn_is_imported() -> None:
    result = python("-c", f"import uvicorn; {INSTALL}")
    assert result.returncode == 1
    assert "ShimError: uvicorn is imported already; call bicorn.shim.install() before its first import" in result.stderr
    assert "uvicorn/__init__.py" in result.stderr


def test_uninstall_gives_uvicorn_back() -> None:
    code = f"""
        import os
        before = os.environ.get("PYTHONPATH")
        {INSTALL}
        {INSTALL}
        import uvicorn.config as through_shim
        bicorn.shim.uninstall()
        assert not bicorn.shim.is_installed()
        assert (os.environ.get("PYTHONPATH"), os.environ.get("BICORN_SHIM")) == (before, None)
        import uvicorn.config
        assert uvicorn.config is not through_shim
        print(uvicorn.__file__)
    """
    assert output_of(code) == uvicorn.__file__


def test_it_needs_no_uvicorn() -> None:
    # Without site-packages there is none.
    home = str(Path(bicorn.__file__).parent.parent)
    code = f"""
        import sys
        sys.path.append({home!r})
        try:
            import uvicorn
        except ModuleNotFoundError:
            pass
        {INSTALL}
        import uvicorn, importlib.metadata, importlib.util
        print(uvicorn.__version__, importlib.metadata.version("uvicorn"), importlib.util.find_spec("uvicorn").name)
    """
    assert output_of(code, "-S", "-E") == "0.54.0 0.54.0 uvicorn"


def test_version_of_the_distribution_is_that_of_the_module() -> None:
    code = f"""
        {INSTALL}
        from importlib import metadata
        print(metadata.version("uvicorn"), metadata.metadata("uvicorn")["Name"], metadata.version("bicorn"))
        names = [each.metadata["Name"] for each in metadata.distributions()]
        assert names.count("uvicorn") == 1, names
    """
    assert output_of(code) == f"0.54.0 uvicorn {bicorn.__version__}"


# Programs.


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that tells how it was started."""
    (tmp_path / "beside.py").write_text("")
    path = tmp_path / "program.py"
    path.write_text("import json, sys, beside, uvicorn\nprint(json.dumps([__name__, sys.argv, uvicorn.__file__]))\n")
    return path


def test_script_runs_as_if_by_the_interpreter(program: Path) -> None:
    result = python("-m", "bicorn.shim", str(program), "--port", "1")
    name, arguments, origin = json.loads(result.stdout)
    assert (name, arguments) == ("__main__", [str(program), "--port", "1"])
    assert Path(origin).name == "front.py"


def test_module_runs_as_if_by_the_interpreter(program: Path) -> None:
    result = python("-m", "bicorn.shim", "-m", "program", "x", PYTHONPATH=str(program.parent))
    name, arguments, _ = json.loads(result.stdout)
    assert (name, arguments) == ("__main__", [str(program), "x"])


def test_installed_command_is_found_on_the_path(program: Path) -> None:
    program.with_name("serve-it").write_text(program.read_text())
    program.with_name("serve-it").chmod(0o755)
    result = python("-m", "bicorn.shim", "serve-it", "x", PATH=str(program.parent))
    assert json.loads(result.stdout)[1] == [str(program.with_name("serve-it")), "x"]


@pytest.mark.parametrize("arguments", [(), ("-m",), ("--unknown",), ("no-such-script.py",)])
def test_command_line_without_a_program_is_explained(arguments: tuple[str, ...]) -> None:
    result = python("-m", "bicorn.shim", *arguments)
    assert result.returncode == 2
    assert "Usage: python -m bicorn.shim" in result.stderr or "there is no script" in result.stderr


def test_exit_code_is_the_programs(tmp_path: Path) -> None:
    (tmp_path / "leave.py").write_text("raise SystemExit(7)")
    assert python("-m", "bicorn.shim", str(tmp_path / "leave.py")).returncode == 7


@pytest.mark.parametrize("how", [("-m", "uvicorn"), (str(Path(sys.executable).with_name("uvicorn")),)])
def test_uvicorns_command_line_serves_with_bicorn(how: tuple[str, ...]) -> None:
    arguments = ("tests.apps:hello", "--port", "0", "--http", "h11")
    with serve_process(*how, *arguments, **SHIM) as served, served.connect() as client:
        response = client.exchange(raw.request())
        assert (response.status, response.header(b"server")) == (200, b"bicorn")


# Children.

CHILD = "import uvicorn; print(uvicorn.__file__.rpartition('/')[2])"


def test_children_have_the_shim() -> None:
    code = f"""
        {INSTALL}
        import subprocess, sys
        subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
    """
    assert output_of(code) == "front.py"


def test_children_can_be_left_out() -> None:
    code = f"""
        import bicorn.shim
        bicorn.shim.install(children=False)
        import subprocess, sys
        subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
    """
    assert output_of(code) == "__init__.py"


def test_spawned_children_have_it_before_they_import_the_main_module(tmp_path: Path) -> None:
    program = tmp_path / "spawning.py"
    program.write_text(
        textwrap.dedent(
            """
            import multiprocessing, uvicorn

            def where():
                return uvicorn.Config.__module__

            if __name__ == "__main__":
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    print(pool.apply(where))
            """
        )
    )
    result = python("-m", "bicorn.shim", str(program))
    assert (result.stdout, result.stderr) == ("bicorn.config\n", "")


def test_sitecustomize_of_the_user_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('mine')")
    code = f"""
        {INSTALL}
        import subprocess, sys
        sys.stdout.flush()
        subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
    """
    assert output_of(code, PYTHONPATH=str(tmp_path)) == "mine\nmine\nfront.py"


def test_interpreter_without_bicorn_is_left_alone(tmp_path: Path) -> None:
    venv.create(tmp_path / "other", symlinks=os.name != "nt")
    other = str(tmp_path / "other" / "bin" / "python")
    code = f"""
        {INSTALL}
        import subprocess
        subprocess.run([{other!r}, "-c", "import sitecustomize; print('runs')"], check=True)
    """
    assert output_of(code) == "runs"


def run_options(**options: Any) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


@pytest.mark.parametrize("options", [{"workers": 2}, {"reload": True}], ids=["workers", "reload"])
def test_processes_of_a_supervisor_have_it(options: dict[str, Any], tmp_path: Path) -> None:
    # The app itself imports uvicorn, in the worker.
    (tmp_path / "app_module.py").write_text(
        textwrap.dedent(
            """
            import uvicorn

            async def app(scope, receive, send):
                assert scope["type"] == "http"
                body = uvicorn.Server.__module__.encode()
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": body})
            """
        )
    )
    program = tmp_path / "program.py"
    program.write_text(
        "import uvicorn\n\nif __name__ == '__main__':\n"
        f"    uvicorn.run('app_module:app', port=0, {run_options(**options)})\n"
    )
    with serve_process(str(program), **SHIM) as served:
        service = Service(served)
        service.wait_ready(1)
        service.wait_listening()
        with served.connect() as client:
            response = client.exchange(raw.request())
        assert (response.status, response.body, response.header(b"server")) == (200, b"bicorn.server", b"bicorn")
