"""WebSocket, in uvicorn's modules: stand-ins."""
