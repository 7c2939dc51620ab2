"""A program that installs the shim by itself, and calls uvicorn; `python installing.py PORT`."""

import sys

import bicorn.shim

bicorn.shim.install()

import uvicorn  # noqa: E402

if __name__ == "__main__":
    uvicorn.run("fastapi_app:app", port=int(sys.argv[1]), workers=2)
