"""What `Config` takes from the environment, beside the options that the command line reads there."""

from __future__ import annotations

import logging
import os

from bicorn.errors import ConfigError

logger = logging.getLogger("uvicorn.error")


def load_env_file(path: str | os.PathLike[str]) -> None:
    """Add what an env-file sets to the environment; what is set already wins."""
    try:
        from dotenv import load_dotenv
    except ImportError:
        raise ConfigError(f"cannot use --env-file {path}: the python-dotenv package is not installed") from None
    logger.info("Loading environment from '%s'", path)
    load_dotenv(dotenv_path=path)


def web_concurrency() -> int:
    """Return how many workers the environment asks for."""
    text = os.environ.get("WEB_CONCURRENCY", "")
    try:
        # With 0, uvicorn serves in this process.
        return int(text or 1) or 1
    except ValueError:
        raise ConfigError(
            f"cannot use the environment variable WEB_CONCURRENCY: it must be a number of workers: {text}"
        ) from None
