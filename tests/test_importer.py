"""Import strings: what they name, and what is said when they name nothing."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def importer(server_name: str) -> ModuleType:
    return importlib.import_module(f"{server_name}.importer")


@pytest.mark.parity
@pytest.mark.parametrize(
    ("import_string", "text"),
    [
        ("", 'Import string "" must be in format "<module>:<attribute>".'),
        ("os", 'Import string "os" must be in format "<module>:<attribute>".'),
        ("os:", 'Import string "os:" must be in format "<module>:<attribute>".'),
        (":path", 'Import string ":path" must be in format "<module>:<attribute>".'),
        ("no_such_module:app", 'Could not import module "no_such_module".'),
        ("os.no_such_module:app", 'Could not import module "os.no_such_module".'),
        ("os:no_such_attribute", 'Attribute "no_such_attribute" not found in module "os".'),
        ("os:path.no_such_attribute", 'Attribute "path.no_such_attribute" not found in module "os".'),
    ],
)
def test_wrong_import_string_is_explained(importer: ModuleType, import_string: str, text: str) -> None:
    with pytest.raises(importer.ImportFromStringError) as raised:
        importer.import_from_string(import_string)
    assert str(raised.value) == text


@pytest.mark.differs_from_uvicorn("uvicorn shows a traceback")
def test_missing_package_is_explained(importer: ModuleType) -> None:
    with pytest.raises(importer.ImportFromStringError) as raised:
        importer.import_from_string("no_such_package.module:app")
    assert str(raised.value) == 'Could not import module "no_such_package.module".'


@pytest.mark.parity
def test_attribute_of_an_attribute_is_found(importer: ModuleType) -> None:
    assert importer.import_from_string("tests.apps:Switch.__call__.__name__") == "__call__"


@pytest.mark.parity
def test_anything_but_a_string_is_returned_as_it_is(importer: ModuleType) -> None:
    app = object()
    assert importer.import_from_string(app) is app


@pytest.mark.parity
@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_dependency", ModuleNotFoundError),
        ("from os import no_such_name", ImportError),
        ("1/0", ZeroDivisionError),
    ],
)
def test_error_inside_the_module_is_raised(
    importer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, error: type[Exception]
) -> None:
    (tmp_path / "broken_app.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error) as raised:
        importer.import_from_string("broken_app:app")
    assert any(entry.path == tmp_path / "broken_app.py" for entry in raised.traceback)
