"""GraphQL by Strawberry: queries, mutations and subscriptions, beside FastAPI's own routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import strawberry
from fastapi import FastAPI
from strawberry.fastapi import GraphQLRouter
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_WS_PROTOCOL

subscribers: set[asyncio.Queue[str]] = set()
ended: list[str] = []


@strawberry.type
class Book:
    title: str
    pages: int


@strawberry.type
class Query:
    @strawberry.field
    def book(self, title: str) -> Book:
        return Book(title=title, pages=len(title))

    @strawberry.field
    async def ended(self) -> list[str]:
        return ended

    @strawberry.field
    async def subscribers(self) -> int:
        return len(subscribers)


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def publish(self, text: str) -> int:
        for queue in subscribers:
            queue.put_nowait(text)
        return len(subscribers)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, until: int) -> AsyncGenerator[int, None]:
        for number in range(until):
            yield number
            await asyncio.sleep(0)

    @strawberry.subscription
    async def published(self, name: str) -> AsyncGenerator[str, None]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        subscribers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            subscribers.discard(queue)
            ended.append(name)


schema = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)
app = FastAPI()
app.include_router(
    GraphQLRouter(schema, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_WS_PROTOCOL]),
    prefix="/graphql",
)
