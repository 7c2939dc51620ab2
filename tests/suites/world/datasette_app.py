"""Datasette as an ASGI application, on a database that is made here."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from datasette.app import Datasette

ROWS = 2500


def make_database(path: Path) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("create table words (id integer primary key, word text, length integer)")
        words = (f"word {number}" for number in range(ROWS))
        connection.executemany("insert into words (word, length) values (?, ?)", ((word, len(word)) for word in words))
    connection.close()
    return path


# Each worker has its own.
folder = Path(os.environ["SITE_FOLDER"], str(os.getpid()))
folder.mkdir()
datasette = Datasette(files=[str(make_database(folder / "library.db"))])
app = datasette.app()
