"""FastAPI: every kind of parameter."""

import enum
import json
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Body, Cookie, FastAPI, Header, Path, Query, Request, Response
from pydantic import BaseModel, Field

from tests.sync_endpoints.families import Case, Family, both, note

router = APIRouter()


class Colour(str, enum.Enum):
    """Two values of a path."""

    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    """A body."""

    name: str
    price: float = 1.5
    tags: list[str] = []


class Filters(BaseModel):
    """A query as a model."""

    limit: int = Field(10, gt=0)
    words: list[str] = []


# Paths


@both(router, "/path/text/{value}")
def path_text(value: str) -> dict[str, str]:
    return {"value": value}


@both(router, "/path/number/{value}")
def path_number(value: Annotated[int, Path(ge=0)]) -> dict[str, int]:
    return {"value": value}


@both(router, "/path/int/{value:int}")
def path_int(value: int) -> dict[str, Any]:
    return {"value": value}


@both(router, "/path/float/{value:float}")
def path_float(value: float) -> dict[str, Any]:
    return {"value": value}


@both(router, "/path/uuid/{value:uuid}")
def path_uuid(value: uuid.UUID) -> dict[str, Any]:
    return {"value": value}


@both(router, "/path/rest/{value:path}")
def path_rest(value: str) -> dict[str, Any]:
    return {"value": value}


@both(router, "/path/enum/{value}")
def path_enum(value: Colour) -> dict[str, Any]:
    return {"value": value, "name": value.name}


@both(router, "/path/{first}/and/{second}.txt")
def path_two(first: str, second: int) -> dict[str, Any]:
    return {"first": first, "second": second}


# Queries, headers, cookies


@both(router, "/query")
def query(
    needed: str,
    number: int = 5,
    flag: bool = False,
    names: Annotated[list[str] | None, Query()] = None,
    other: Annotated[str | None, Query(alias="other-name", max_length=3)] = None,
) -> dict[str, Any]:
    return {"needed": needed, "number": number, "flag": flag, "names": names, "other": other}


@both(router, "/query/model")
def query_model(filters: Annotated[Filters, Query()]) -> Filters:
    return filters


@both(router, "/header")
def header(
    user_agent: Annotated[str | None, Header()] = None,
    x_many: Annotated[list[str] | None, Header()] = None,
    x_number: Annotated[int, Header()] = 0,
) -> dict[str, Any]:
    return {"user_agent": user_agent, "x_many": x_many, "x_number": x_number}


@both(router, "/cookie")
def cookie(one: Annotated[str | None, Cookie()] = None, two: Annotated[int, Cookie()] = 2) -> dict[str, Any]:
    return {"one": one, "two": two}


# Bodies of JSON


@both(router, "/body/model", methods=["POST", "PUT", "DELETE"])
def body_model(item: Item) -> Item:
    return item


@both(router, "/body/two", methods=["POST"])
def body_two(first: Item, second: Item, number: Annotated[int, Body()] = 0) -> dict[str, Any]:
    return {"first": first, "second": second, "number": number}


@both(router, "/body/embedded", methods=["POST"])
def body_embedded(item: Annotated[Item, Body(embed=True)]) -> Item:
    return item


@both(router, "/body/optional", methods=["POST"])
def body_optional(item: Item | None = None) -> dict[str, Any]:
    return {"item": item}


@both(router, "/body/any", methods=["POST"])
def body_any(data: Annotated[Any, Body()]) -> Any:
    return {"type": type(data).__name__, "data": data}


@both(router, "/body/all/{number}", methods=["POST"])
def body_all(number: int, item: Item, word: str, x_one: Annotated[str, Header()] = "unset") -> dict[str, Any]:
    return {"number": number, "item": item, "word": word, "x_one": x_one}


# What is not data


@both(router, "/request/{value}")
def request_parts(request: Request, value: str) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": str(request.url),
        "base": str(request.base_url),
        "for": str(request.url_for("def_path_text", value="x")),
        "query": str(request.query_params),
        "path": request.path_params,
        "headers": sorted(request.headers.items()),
        "cookies": request.cookies,
        "client": request.client.host if request.client else None,
        "scheme": request.url.scheme,
        # Extensions are a server's own.
        "keys": sorted(request.scope.keys() - {"extensions"}),
        "version": request.scope["http_version"],
        "raw_path": request.scope["raw_path"].decode("latin-1"),
        "root_path": request.scope["root_path"],
        "route": request.scope["route"].name,
    }


@both(router, "/response")
def response_parameter(response: Response, status: int | None = None) -> dict[str, str]:
    response.headers["X-Set"] = "yes"
    response.set_cookie("key", "value", max_age=5, httponly=True)
    if status is not None:
        response.status_code = status
    return {"in": "the body"}


@both(router, "/tasks")
def tasks(tasks: BackgroundTasks) -> str:
    tasks.add_task(note, "first")
    tasks.add_task(later, "second", word="word")
    note("endpoint")
    return "sent"


@both(router, "/tasks/async")
def tasks_async(tasks: BackgroundTasks) -> str:
    tasks.add_task(later_async, "first")
    tasks.add_task(note, "second")
    return "sent"


def later(value: str, *, word: str) -> None:
    note("later", value, word)


async def later_async(value: str) -> None:
    note("later async", value)


def make_app() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


def _json(target: str, data: Any, **options: Any) -> Case:
    return _post(target, json.dumps(data).encode(), "application/json", **options)


def _post(target: str, body: bytes, content_type: str | None, *, method: str = "POST", label: str = "") -> Case:
    headers = () if content_type is None else (("Content-Type", content_type),)
    return Case(target, method, headers, body, label)


UUID = "/path/uuid/6f9619ff-8b86-d011-b42d-00c04fc964ff"

CASES = [
    *(Case(f"/path/text/{value}") for value in ("plain", "two%20words", "%C3%A9", "%FF", "a%2Fb", "a+b", "a;b=c", "")),
    *(Case(f"/path/number/{value}") for value in ("5", "-5", "five", "5.0", "99999999999999999999")),
    *(Case(f"/path/int/{value}") for value in ("5", "05", "-5", "five", "%D9%A5")),
    *(Case(f"/path/float/{value}") for value in ("5", "5.5", ".5", "5.", "1e5")),
    *(Case(target) for target in (UUID, UUID.upper().replace("/PATH/UUID", "/path/uuid"), UUID[:-1], "/path/uuid/x")),
    *(Case(f"/path/rest/{value}") for value in ("", "a", "a/b/c", "a/", "/a", "a%2Fb/c", "..", "a?b=c")),
    *(Case(f"/path/enum/{value}") for value in ("red", "green")),
    *(
        Case(f"/path/{value}")
        for value in ("a/and/5.txt", "a/and/5.txt/", "a/and/x.txt", "a/and/5xtxt", "a/b/and/5.txt")
    ),
    Case("/query"),
    Case("/query?needed=&number=x&flag=perhaps&other-name=long&names=1"),
    Case("/query?needed=%C3%A9&number=7&flag=on&names=1&names=2&other-name=abc"),
    Case("/query?needed=a&needed=b&number=%2B7&unknown=1&names"),
    Case("/query/model?limit=3&words=a&words=b"),
    Case("/query/model?limit=0"),
    Case("/header"),
    Case(
        "/header", headers=(("User-Agent", "x/1"), ("X-Many", "a"), ("x-many", "b, c"), ("X-Number", "7")), label="all"
    ),
    Case("/header", headers=(("X-Number", "seven"),), label="wrong"),
    Case("/cookie"),
    Case("/cookie", headers=(("Cookie", 'one="quoted value"; two=5; three=3'),), label="all"),
    Case("/cookie", headers=(("Cookie", "two=x"), ("Cookie", "one=1")), label="wrong"),
    _json("/body/model", {"name": "n", "price": 2, "tags": ["a", "é"]}),
    _json("/body/model", {"name": "n"}, method="PUT"),
    _json("/body/model", {"name": "n"}, method="DELETE"),
    _json("/body/model", {"price": "much"}, label="wrong"),
    _json("/body/model", [], label="list"),
    _json("/body/model", None, label="null"),
    Case("/body/model", "POST", label="nothing"),
    Case("/body/model", "POST", body=b"", label="empty"),
    _post("/body/model", b'{"name": ', "application/json", label="cut"),
    _post("/body/model", b'{"name": "\xff"}', "application/json", label="not UTF-8"),
    _post("/body/model", b'{"name": "n"}', None, label="no type"),
    _post("/body/model", b'{"name": "n"}', "text/plain", label="text"),
    _post("/body/model", b'{"name": "n"}', "application/vnd.x+json", label="json kind"),
    _json("/body/model", {"name": "x" * 100_000}, label="100 kB"),
    _json("/body/two", {"first": {"name": "a"}, "second": {"name": "b"}, "number": 7}),
    _json("/body/two", {"first": {"name": "a"}}, label="half"),
    _json("/body/embedded", {"item": {"name": "a"}}),
    _json("/body/embedded", {"name": "a"}, label="wrong"),
    _json("/body/optional", {"name": "a"}),
    Case("/body/optional", "POST", label="nothing"),
    *(_json("/body/any", data, label=repr(data)) for data in ({"a": 1}, [1], "text", 5, 1.5, True)),
    _json("/body/all/5?word=w", {"name": "a"}),
    _json("/body/all/x", {}, label="all wrong"),
    Case("/request/x%20y?a=1&a=2", headers=(("Cookie", "a=b"), ("X-Two", "1"), ("X-Two", "2")), is_twin=False),
    Case("/request/x", headers=(("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "1.2.3.4")), is_twin=False),
    *(Case(target) for target in ("/response", "/response?status=202", "/response?status=404")),
    *(Case(target) for target in ("/tasks", "/tasks/async")),
]

FAMILIES = [Family("parameters", make_app, CASES)]
