"""A function with a user interface by gradio; `gradio_app.py PORT`."""

import sys

import gradio


def greet(name: str) -> str:
    return f"Hello, {name}!"


demo = gradio.Interface(greet, "text", "text", api_name="greet")

if __name__ == "__main__":
    demo.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]))
