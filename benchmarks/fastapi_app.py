"""The FastAPI application under load: the shapes of endpoint that people write."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    """What the model endpoint takes and gives back."""

    name: str
    price: float
    tags: list[str] = []


@app.get("/json")
async def json() -> dict[str, str]:
    """Answer with a small JSON object."""
    return {"message": "Hello, world!"}


@app.get("/json-sync")
def json_sync() -> dict[str, str]:
    """Answer the same from a plain function, which FastAPI runs in a thread."""
    return {"message": "Hello, world!"}


@app.get("/items/{item_id}")
async def read_item(item_id: int, q: str, limit: int = 10) -> dict[str, Any]:
    """Answer with the parameters, parsed and validated."""
    return {"item_id": item_id, "q": q, "limit": limit}


@app.post("/items")
async def create_item(item: Item) -> Item:
    """Validate a model from the body and serialise it again."""
    return item
