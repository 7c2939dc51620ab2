"""The demo's storage: notes in SQLite, with nothing but the standard library."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel


class Note(BaseModel):
    """A note as it is kept."""

    id: int
    text: str
    tags: list[str]
    words: int | None
    """Counted in the background; None until then."""


class NoteNotFoundError(Exception):
    """There is no note of that number."""

    def __init__(self, note_id: int) -> None:
        """Remember which."""
        super().__init__(note_id)
        self.note_id = note_id


class Notes:
    """All notes. Methods may be called from any thread; each is one transaction."""

    def __init__(self, path: Path) -> None:
        """Open the database, and make its table if it is new."""
        # FastAPI runs `def` endpoints in changing threads; the lock keeps them apart.
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._lock = threading.Lock()
        with self._lock, self._database:
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT, tags TEXT, words INTEGER)"
            )

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def add(self, text: str, tags: list[str]) -> Note:
        """Keep a note."""
        with self._lock, self._database:
            cursor = self._database.execute("INSERT INTO notes (text, tags) VALUES (?, ?)", (text, json.dumps(tags)))
        assert cursor.lastrowid is not None
        return Note(id=cursor.lastrowid, text=text, tags=tags, words=None)

    def find(self, note_id: int) -> Note:
        """Return a note.

        Raises:
            NoteNotFoundError: There is none of that number.
        """
        for note in self._select("WHERE id = ?", note_id):
            return note
        raise NoteNotFoundError(note_id)

    def newest(self, limit: int, tag: str | None) -> list[Note]:
        """Return the last notes first, of one tag if it is given."""
        if tag is None:
            return self._select("ORDER BY id DESC LIMIT ?", limit)
        condition = "WHERE EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?) ORDER BY id DESC LIMIT ?"
        return self._select(condition, tag, limit)

    def all(self) -> Iterator[Note]:
        """Go through all notes, a hundred at a time."""
        last = 0
        while page := self._select("WHERE id > ? ORDER BY id LIMIT 100", last):
            yield from page
            last = page[-1].id

    def remove(self, note_id: int) -> None:
        """Forget a note.

        Raises:
            NoteNotFoundError: There is none of that number.
        """
        with self._lock, self._database:
            removed = self._database.execute("DELETE FROM notes WHERE id = ?", (note_id,)).rowcount
        if not removed:
            raise NoteNotFoundError(note_id)

    def count_words(self, note_id: int) -> None:
        """Count a note's words and keep the number; does nothing if the note is gone."""
        with self._lock, self._database:
            for (text,) in self._database.execute("SELECT text FROM notes WHERE id = ?", (note_id,)).fetchall():
                words = len(text.split())
                self._database.execute("UPDATE notes SET words = ? WHERE id = ?", (words, note_id))

    def _select(self, condition: str, *parameters: object) -> list[Note]:
        query = f"SELECT id, text, tags, words FROM notes {condition}"
        with self._lock:
            rows = self._database.execute(query, parameters).fetchall()
        return [Note(id=number, text=text, tags=json.loads(tags), words=words) for number, text, tags, words in rows]
