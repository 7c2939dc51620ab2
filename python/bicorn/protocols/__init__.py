"""uvicorn's protocols, as far as they can mean something where Rust speaks HTTP and WebSocket.

`utils` is all there. The protocol classes are stand-ins: options can name them, programs can import them, and anything
else that is done with them says what to do instead (`stand_in.py`).
"""
