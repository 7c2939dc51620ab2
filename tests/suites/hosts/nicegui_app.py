"""A page by nicegui; `nicegui_app.py PORT [reload]`."""

import sys

from nicegui import ui


@ui.page("/")
def index() -> None:
    ui.label("Hello from a page")


if __name__ in ("__main__", "__mp_main__"):
    ui.run(host="127.0.0.1", port=int(sys.argv[1]), show=False, reload="reload" in sys.argv)
