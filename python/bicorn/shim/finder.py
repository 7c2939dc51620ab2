"""The meta path finder: answers imports of `uvicorn` and what is in it, and the question which version it is.

`uvicorn` itself is `front.py`; a module in it is bicorn's own object under a second name, so that what a program
changes there is changed. Nothing of an installed uvicorn is ever read. Each Python process under the shim begins with
this file: it imports little.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader

from bicorn.constants import UVICORN_VERSION
from bicorn.shim.modules import MODULES, WITHOUT_COUNTERPART

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from collections.abc import Iterable, Sequence
    from importlib import metadata
    from typing import Any

FRONT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "front.py")


class UvicornFinder:
    """Finds `uvicorn` and everything that begins with `uvicorn.`, and leaves the rest to others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what to load.

        Raises:
            ModuleNotFoundError: uvicorn, or this uvicorn, has no such module. The finders after this one are not
                asked: in the folders of bicorn's packages they would find other things.
        """
        package, _, name = fullname.partition(".")
        if package != "uvicorn":
            return None
        if not name:
            # A package without a folder: nobody else is led to its modules.
            spec = ModuleSpec(fullname, SourceFileLoader(fullname, FRONT), origin=FRONT, is_package=True)
            spec.has_location = True
            return spec
        if name not in MODULES:
            raise ModuleNotFoundError(_why_not(fullname, name), name=fullname)
        alias = MODULES[name]
        loader: Any = AliasLoader(None if alias is None else f"bicorn.{alias}")
        is_package = any(other.startswith(f"{name}.") for other in MODULES)
        return ModuleSpec(fullname, loader, origin=FRONT, is_package=is_package)

    def find_distributions(self, context: metadata.DistributionFinder.Context) -> Iterable[metadata.Distribution]:
        """Tell that uvicorn is installed, to those who ask for it by name (`importlib.metadata`)."""
        if (context.name or "").lower() != "uvicorn":
            return []
        from bicorn.shim.distribution import UvicornDistribution

        return [UvicornDistribution()]

    def invalidate_caches(self) -> None:
        """Forget nothing: nothing is remembered."""


def _why_not(fullname: str, name: str) -> str:
    if name not in WITHOUT_COUNTERPART:
        return f"No module named {fullname!r} in uvicorn {UVICORN_VERSION}, which bicorn stands for"
    from bicorn.protocols.stand_in import INSTEAD

    return f"No module named {fullname!r} in bicorn, which speaks HTTP and WebSocket in Rust; {INSTEAD}"


class AliasLoader:
    """Loads a module of uvicorn: the module of bicorn that it is, or an empty package."""

    def __init__(self, alias: str | None) -> None:
        """Take the name of the module of bicorn."""
        self._alias = alias

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import machinery make the module."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Put the module of bicorn in the place of the new one, as a module may do with itself."""
        if self._alias is not None:
            sys.modules[module.__name__] = importlib.import_module(self._alias)

    def get_code(self, fullname: str) -> types.CodeType | None:
        """Return what `python -m` runs.

        Raises:
            ImportError: bicorn has no such module.
        """
        from importlib.util import find_spec

        spec = None if self._alias is None else find_spec(self._alias)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            raise ImportError(f"no code for {fullname}", name=fullname)
        return spec.loader.get_code(spec.name)
