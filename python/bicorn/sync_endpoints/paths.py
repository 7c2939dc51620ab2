"""What a route's path matches, in parts that a table without Python can compare.

A path is cut as `starlette.routing.compile_path` cuts it, and the regular expression that the parts stand for is built
again: only where it is the route's own are the parts what the framework matches.
"""

from __future__ import annotations

import re
from typing import Any

from bicorn.sync_endpoints.frameworks import loaded

Parts = tuple[tuple[str, str], ...]

PARAMETER = re.compile("{([a-zA-Z_][a-zA-Z0-9_]*)(:[a-zA-Z_][a-zA-Z0-9_]*)?}")

# Starlette's convertors: the kind of a part, and the expression that it stands for.
KINDS = {
    "StringConvertor": ("str", "[^/]+"),
    "PathConvertor": ("path", ".*"),
    "IntegerConvertor": ("int", "[0-9]+"),
    "FloatConvertor": ("float", r"[0-9]+(\.[0-9]+)?"),
    "UUIDConvertor": ("uuid", "[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}"),
}


def cut_path(path: Any, regex: Any, convertors: Any) -> tuple[Parts, bool] | None:
    """Return the parts of a route's path and whether they match exactly what the route matches.

    A convertor of the application's is taken as one that matches anything: such parts match too much, never too little,
    and are right for a route that stays on the event loop. None if the route does not match as its path says.
    """
    if type(path) is not str or type(regex) is not re.Pattern or regex.flags != re.UNICODE:
        return None
    parts: list[tuple[str, str]] = []
    expression, is_exact, position = "^", True, 0
    for match in PARAMETER.finditer(path):
        name = match.group(1)
        convertor = convertors.get(name)
        literal = path[position : match.start()]
        kind, matched = _kind_of(convertor)
        is_exact = is_exact and kind is not None
        parts += [("literal", literal), (kind or "path", name)]
        expression += f"{re.escape(literal)}(?P<{name}>{matched})"
        position = match.end()
    parts.append(("literal", path[position:]))
    expression += re.escape(path[position:]) + "$"
    return (join_parts((), tuple(parts)), is_exact) if regex.pattern == expression else None


def join_parts(prefix: Parts, parts: Parts) -> Parts:
    """Return one path after another, with one literal where two meet and none that is empty."""
    joined: list[tuple[str, str]] = []
    for kind, text in prefix + parts:
        if kind == "literal" and joined and joined[-1][0] == "literal":
            joined[-1] = ("literal", joined[-1][1] + text)
        elif kind != "literal" or text:
            joined.append((kind, text))
    return tuple(joined)


def everything_below(prefix: Parts) -> Parts | None:
    """Return parts for all that could begin with this prefix, or None for all there is."""
    return (*prefix, ("path", "path")) if prefix else None


def _kind_of(convertor: Any) -> tuple[str | None, str]:
    for name, (kind, expression) in KINDS.items():
        if type(convertor) is loaded(f"starlette.convertors:{name}") and convertor.regex == expression:
            return kind, expression
    return None, str(getattr(convertor, "regex", None))
