"""A Django site in one file: sync and async views, forms, sessions, a database, streams; WebSockets by Channels."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import django
from django.conf import settings

FOLDER = Path(os.environ["SITE_FOLDER"])

settings.configure(
    SECRET_KEY="secret",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "site.sqlite3"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "channels"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    FILE_UPLOAD_MAX_MEMORY_SIZE=64 * 1024,
    USE_TZ=True,
)
django.setup()

from asgiref.local import Local  # noqa: E402
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

call_command("migrate", verbosity=0)
local = Local()


def hello(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse(f"hello {name} from {request.get_host().partition(':')[0]}")


async def hello_async(request: HttpRequest, name: str) -> JsonResponse:
    await asyncio.sleep(0)
    return JsonResponse({"hello": name, "query": dict(request.GET.lists())})


def visits(request: HttpRequest) -> JsonResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


async def people(request: HttpRequest) -> JsonResponse:
    if request.method == "POST":
        await User.objects.acreate(username=json.loads(request.body)["name"])
    return JsonResponse({"names": [user.username async for user in User.objects.order_by("username")]})


def upload(request: HttpRequest) -> JsonResponse:
    files = {name: [file.size for file in request.FILES.getlist(name)] for name in request.FILES}
    return JsonResponse({"files": files, "fields": request.POST.dict()})


def own_local(request: HttpRequest) -> HttpResponse:
    before = getattr(local, "name", "nothing")
    local.name = request.GET["name"]
    return HttpResponse(f"{before} {local.name}")


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> AsyncIterator[str]:
        for number in range(100):
            yield f"{number}\n"
            await asyncio.sleep(0)

    return StreamingHttpResponse(lines(), content_type="text/plain")


def stream_sync(request: HttpRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[str]:
        for number in range(100):
            yield f"{number}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


async def endless(request: HttpRequest) -> StreamingHttpResponse:
    async def ticks() -> AsyncIterator[str]:
        try:
            while True:
                yield "tick\n"
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            left.set()
            raise

    left.clear()
    return StreamingHttpResponse(ticks(), content_type="text/plain")


async def wait_for_leaving(request: HttpRequest) -> HttpResponse:
    await left.wait()
    return HttpResponse("left")


def source(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"), as_attachment=True)


left = asyncio.Event()
urlpatterns = [
    path("hello/<str:name>", hello),
    path("hello/async/<str:name>", hello_async),
    path("visits", visits),
    path("people", people),
    path("upload", upload),
    path("local", own_local),
    path("stream/async", stream_async),
    path("stream/sync", stream_sync),
    path("endless", endless),
    path("endless/left", wait_for_leaving),
    path("source", source),
]


class ChatConsumer(AsyncJsonWebsocketConsumer):
    groups = ("chat",)

    async def connect(self) -> None:
        await self.accept()
        await self.send_json({"user": str(self.scope["user"])})

    async def receive_json(self, content: dict[str, str]) -> None:
        await self.channel_layer.group_send("chat", {"type": "chat.message", "text": content["text"]})

    async def chat_message(self, event: dict[str, str]) -> None:
        await self.send_json({"text": event["text"]})


class EchoConsumer(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "close":
            self.close(code=4003)
        else:
            self.send(text_data=text_data, bytes_data=bytes_data)


application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": AuthMiddlewareStack(
            URLRouter([path("chat", ChatConsumer.as_asgi()), path("echo", EchoConsumer.as_asgi())])
        ),
    }
)
