"""The FastAPI application that reads a row by its key, with SQLAlchemy from an SQLite file that the benchmark made.

It is a file of its own, because the other runs must not pay for SQLAlchemy's memory.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

# One for each request under way. With fewer, threads that wait for a database connection hold the tokens that the
# requests with a connection need to validate their answer and let go of it.
POOL_SIZE = 64

engine = create_engine(f"sqlite:///{os.environ['BENCH_DATABASE']}", pool_size=POOL_SIZE)
async_engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['BENCH_DATABASE']}", pool_size=POOL_SIZE)


class Base(DeclarativeBase):
    """The tables of this application."""


class User(Base):
    """A row."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]


class UserOut(BaseModel):
    """What the endpoints give back."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    email: str


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Close the connections at the end: each one of aiosqlite's has a thread that would keep the process."""
    yield
    engine.dispose()
    await async_engine.dispose()


app = FastAPI(lifespan=lifespan)


async def async_session() -> AsyncIterator[AsyncSession]:
    """Open a session for one request."""
    async with AsyncSession(async_engine) as session:
        yield session


def session_def() -> Iterator[Session]:
    """Open a session for one request."""
    with Session(engine) as session:
        yield session


@app.get("/users/{user_id}", response_model=UserOut)
async def read_user(user_id: int, session: Annotated[AsyncSession, Depends(async_session)]) -> User:
    """Read one row."""
    user = await session.get(User, user_id)
    if user is None:
        raise HTTPException(404)
    return user


@app.get("/users-def/{user_id}", response_model=UserOut)
def read_user_def(user_id: int, session: Annotated[Session, Depends(session_def)]) -> User:
    """Read one row."""
    user = session.get(User, user_id)
    if user is None:
        raise HTTPException(404)
    return user
