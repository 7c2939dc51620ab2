"""What an app can be wrapped in, in uvicorn's modules: `proxy_headers`, `wsgi`, `asgi2`, `message_logger`.

`Config.load` wraps apps by itself. These are for programs that do it by hand.
"""
