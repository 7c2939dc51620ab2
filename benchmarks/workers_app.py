"""An endpoint whose time is its own Python: what more workers are for."""

from __future__ import annotations

from fastapi import FastAPI

ROUNDS = 20_000

app = FastAPI()


@app.get("/compute")
async def compute() -> dict[str, int]:
    """Work for about a millisecond, without waiting for anything."""
    total = 0
    for number in range(ROUNDS):
        total = (total + number * number) % 1_000_003
    return {"total": total}
