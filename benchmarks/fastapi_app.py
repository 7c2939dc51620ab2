"""The FastAPI application under load: the shapes of endpoint that people write, each as `async def` and as `def`.

FastAPI runs what is `def` in a thread: endpoints, dependencies, and the validation of what a `def` endpoint returns.
The twins do the same work and give the same answer; the paths of the `def` ones end in `-def`.
"""

import asyncio
import time
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from pydantic import BaseModel

app = FastAPI()

SLEEP_SECONDS = 0.02


class Item(BaseModel):
    """What the model endpoints take and give back."""

    name: str
    price: float
    tags: list[str] = []


@app.get("/json")
async def json() -> dict[str, str]:
    """Answer with a small JSON object."""
    return {"message": "Hello, world!"}


@app.get("/json-def")
def json_def() -> dict[str, str]:
    """Answer with a small JSON object."""
    return {"message": "Hello, world!"}


@app.get("/items/{item_id}")
async def read_item(item_id: int, q: str, limit: int = 10) -> dict[str, Any]:
    """Answer with the parameters, parsed and validated."""
    return {"item_id": item_id, "q": q, "limit": limit}


@app.get("/items-def/{item_id}")
def read_item_def(item_id: int, q: str, limit: int = 10) -> dict[str, Any]:
    """Answer with the parameters, parsed and validated."""
    return {"item_id": item_id, "q": q, "limit": limit}


@app.post("/items", response_model=Item)
async def create_item(item: Item) -> Item:
    """Validate a model from the body and serialise it again."""
    return item


@app.post("/items-def", response_model=Item)
def create_item_def(item: Item) -> Item:
    """Validate a model from the body and serialise it again."""
    return item


async def page(offset: int = 0, limit: int = 10) -> dict[str, int]:
    """Check which part of a list is wanted."""
    return {"offset": offset, "limit": min(limit, 100)}


async def user(token: str) -> dict[str, str]:
    """Tell who asks."""
    return {"name": token.removeprefix("token-")}


def page_def(offset: int = 0, limit: int = 10) -> dict[str, int]:
    """Check which part of a list is wanted."""
    return {"offset": offset, "limit": min(limit, 100)}


def user_def(token: str) -> dict[str, str]:
    """Tell who asks."""
    return {"name": token.removeprefix("token-")}


@app.get("/mine")
async def list_mine(
    page: Annotated[dict[str, int], Depends(page)], user: Annotated[dict[str, str], Depends(user)]
) -> dict[str, Any]:
    """Answer with what two dependencies found."""
    return {"user": user, "page": page}


@app.get("/mine-def")
def list_mine_def(
    page: Annotated[dict[str, int], Depends(page_def)], user: Annotated[dict[str, str], Depends(user_def)]
) -> dict[str, Any]:
    """Answer with what two dependencies found."""
    return {"user": user, "page": page}


@app.get("/sleep")
async def sleep() -> dict[str, str]:
    """Wait on the event loop, as for a database with a driver for asyncio."""
    await asyncio.sleep(SLEEP_SECONDS)
    return {"message": "Hello, world!"}


@app.get("/sleep-def")
def sleep_def() -> dict[str, str]:
    """Block the thread, as a driver without asyncio does."""
    time.sleep(SLEEP_SECONDS)
    return {"message": "Hello, world!"}
