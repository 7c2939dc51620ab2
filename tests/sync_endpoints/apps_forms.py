"""FastAPI: forms and files, security schemes, and several kinds of parameter at once."""

import base64
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, FastAPI, File, Form, Request, Security, UploadFile
from fastapi.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
    SecurityScopes,
)
from pydantic import BaseModel

from tests.sync_endpoints.families import Case, Family, both

router = APIRouter()
BOUNDARY = "boundary-of-tests"


class Login(BaseModel):
    """A form as a model."""

    user: str
    tags: list[str] = []


# Forms


@both(router, "/form", methods=["POST"])
def form(name: Annotated[str, Form()], many: Annotated[list[int] | None, Form()] = None) -> dict[str, Any]:
    return {"name": name, "many": many}


@both(router, "/form/model", methods=["POST"])
def form_model(login: Annotated[Login, Form()]) -> Login:
    return login


@both(router, "/file/bytes", methods=["POST"])
def file_bytes(data: Annotated[bytes, File()]) -> dict[str, Any]:
    return {"size": len(data), "start": data[:8].hex()}


@both(router, "/file/upload", methods=["POST"])
def file_upload(upload: UploadFile, note: Annotated[str, Form()] = "unset") -> dict[str, Any]:
    data = upload.file.read()
    return {
        "name": upload.filename,
        "type": upload.content_type,
        "size": upload.size,
        "read": len(data),
        "sum": sum(data),
        "headers": dict(upload.headers),
        "note": note,
    }


@both(router, "/file/list", methods=["POST"])
def file_list(uploads: list[UploadFile]) -> list[tuple[str | None, int]]:
    return [(upload.filename, len(upload.file.read())) for upload in uploads]


@both(router, "/file/optional", methods=["POST"])
def file_optional(upload: UploadFile | None = None) -> str:
    return "none" if upload is None else str(upload.filename)


@both(router, "/form/request/{word}", methods=["POST"])
def form_request(word: str, request: Request, name: Annotated[str, Form()], query: str = "unset") -> dict[str, Any]:
    return {"word": word, "name": name, "query": query, "type": request.headers["content-type"].partition(";")[0]}


# Security schemes


@both(router, "/basic")
def basic(credentials: Annotated[HTTPBasicCredentials, Depends(HTTPBasic(realm="tests"))]) -> dict[str, str]:
    return {"name": credentials.username, "password": credentials.password}


@both(router, "/bearer")
def bearer(credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> dict[str, str]:
    return {"scheme": credentials.scheme, "token": credentials.credentials}


@both(router, "/bearer/optional")
def bearer_optional(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
) -> str:
    return "none" if credentials is None else credentials.credentials


@both(router, "/keys")
def keys(
    header: Annotated[str, Security(APIKeyHeader(name="x-key"))],
    query: Annotated[str | None, Security(APIKeyQuery(name="key", auto_error=False))],
    cookie: Annotated[str | None, Security(APIKeyCookie(name="key", auto_error=False))],
) -> dict[str, str | None]:
    return {"header": header, "query": query, "cookie": cookie}


oauth2 = OAuth2PasswordBearer(tokenUrl="token", scopes={"read": "reads", "write": "writes"})


def current_user(scopes: SecurityScopes, token: Annotated[str, Depends(oauth2)]) -> dict[str, Any]:
    return {"token": token, "scopes": scopes.scopes}


@both(router, "/oauth2")
def oauth2_user(user: Annotated[dict[str, Any], Security(current_user, scopes=["read", "write"])]) -> dict[str, Any]:
    return user


@both(router, "/oauth2/token", methods=["POST"])
def oauth2_token(data: Annotated[OAuth2PasswordRequestForm, Depends()]) -> dict[str, Any]:
    return {"user": data.username, "password": data.password, "scopes": data.scopes}


def make_app() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


def part(name: str, data: bytes, filename: str | None = None, content_type: str | None = None) -> bytes:
    """Make one part of a multipart body."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
    head += "" if filename is None else f'; filename="{filename}"'
    head += "" if content_type is None else f"\r\nContent-Type: {content_type}"
    return head.encode() + b"\r\n\r\n" + data + b"\r\n"


def multipart(target: str, *parts: bytes, label: str = "", is_whole: bool = True) -> Case:
    """Send parts as one body."""
    body = b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if is_whole else b"")
    headers = (("Content-Type", f"multipart/form-data; boundary={BOUNDARY}"),)
    return Case(target, "POST", headers, body, label)


def _form(target: str, fields: Any, label: str = "") -> Case:
    headers = (("Content-Type", "application/x-www-form-urlencoded"),)
    return Case(target, "POST", headers, urlencode(fields).encode(), label)


def _authorized(target: str, value: str, label: str) -> Case:
    return Case(target, headers=(("Authorization", value),), label=label)


BASIC = base64.b64encode("näme:secret:more".encode()).decode()

CASES = [
    _form("/form", {"name": "é +&"}),
    _form("/form", [("name", "n"), ("many", "1"), ("many", "2"), ("unknown", "x")], label="list"),
    _form("/form", {"many": "x"}, label="wrong"),
    Case("/form", "POST", label="nothing"),
    Case("/form", "POST", (("Content-Type", "application/json"),), b'{"name": "n"}', "json"),
    _form("/form/model", [("user", "u"), ("tags", "a"), ("tags", "b")]),
    _form("/form/model", {}, label="empty"),
    multipart("/form", part("name", "é".encode()), part("many", b"5")),
    multipart("/file/bytes", part("data", b"\x00\x01" * 500, "x.bin", "application/octet-stream")),
    multipart("/file/bytes", part("data", b"x" * 3_000_000, "x.bin"), label="spooled to a file"),
    multipart("/file/bytes", part("other", b"x", "x.bin"), label="missing"),
    multipart("/file/upload", part("upload", b"abc", "é.txt", "text/plain"), part("note", b"noted")),
    multipart("/file/upload", part("upload", b"abc"), label="not a file"),
    multipart("/form", part("name", b"abc"), label="cut", is_whole=False),
    Case("/file/upload", "POST", (("Content-Type", "multipart/form-data"),), b"x", "no boundary"),
    multipart("/file/upload", b"nonsense\r\n", label="nonsense"),
    multipart("/file/list", part("uploads", b"a", "a.txt"), part("uploads", b"bb", "b.txt")),
    multipart("/file/list", label="none"),
    multipart("/file/optional", part("upload", b"a", "a.txt")),
    multipart("/file/optional", part("other", b"a"), label="none"),
    _form("/form/request/word?query=q", {"name": "n"}),
    Case("/basic"),
    *(_authorized("/basic", value, value) for value in (f"Basic {BASIC}", "Basic !", "Bearer x", "Basic")),
    Case("/bearer"),
    *(_authorized("/bearer", value, value) for value in ("Bearer token", "bearer x", "Basic x", "Bearer")),
    Case("/bearer/optional"),
    _authorized("/bearer/optional", "Bearer t", "token"),
    Case("/keys"),
    Case("/keys?key=q", headers=(("X-Key", "h"), ("Cookie", "key=c")), label="all"),
    Case("/oauth2"),
    _authorized("/oauth2", "Bearer t", "token"),
    _form("/oauth2/token", {"username": "u", "password": "p", "scope": "read write", "grant_type": "password"}),
    _form("/oauth2/token", {"username": "u"}, label="half"),
]

FAMILIES = [Family("forms", make_app, CASES)]
