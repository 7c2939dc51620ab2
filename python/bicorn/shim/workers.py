"""`gunicorn -k uvicorn.workers.UvicornWorker` under the shim."""

from bicorn.workers import BicornWorker


class UvicornWorker(BicornWorker):
    """The worker, under the name that deployments give to gunicorn."""


class UvicornH11Worker(UvicornWorker):
    """The same: h11 is not here to be chosen."""


__all__ = ["UvicornH11Worker", "UvicornWorker"]
