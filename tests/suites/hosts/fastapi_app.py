"""What `fastapi run` and gunicorn serve: it tells which process answers, and by what."""

import os

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def read() -> dict[str, object]:
    return {"pid": os.getpid(), "server": uvicorn.Server.__module__}
