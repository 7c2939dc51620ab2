"""A Flask application: WSGI, with a session, forms, files, streams both ways and a context for each request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Response, abort, g, jsonify, request, send_file, session, stream_with_context

app = Flask(__name__, static_folder="static")
app.secret_key = "secret"
meeting = threading.Barrier(4, timeout=10)


@app.before_request
def remember_name() -> None:
    g.name = request.args.get("name", "nobody")


@app.get("/hello/<name>")
def hello(name: str):
    return jsonify(hello=name, query=request.args.to_dict(flat=False), agent=request.headers.get("x-agent"))


@app.get("/meet")
def meet():
    meeting.wait()
    return g.name


@app.get("/visits")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return {"visits": session["visits"]}


@app.post("/upload")
def upload():
    files = {name: len(file.read()) for name, file in request.files.items()}
    return {"files": files, "fields": request.form.to_dict()}


@app.post("/size")
def size():
    count = 0
    while chunk := request.stream.read(64 * 1024):
        count += len(chunk)
    return {"size": count}


@app.get("/stream")
def stream():
    @stream_with_context
    def lines() -> Iterator[str]:
        for number in range(100):
            yield f"{g.name} {number}\n"

    return Response(lines(), mimetype="text/plain")


@app.get("/source")
def source():
    return send_file(Path(__file__), as_attachment=True)


@app.get("/environment")
def environment():
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL", "wsgi.url_scheme")
    return {name: request.environ[name] for name in names} | {"address": request.remote_addr}


@app.get("/forbidden")
def forbidden():
    abort(403, "not for you")
