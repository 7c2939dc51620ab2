"""HTTP, in uvicorn's modules: stand-ins, and the constants of `flow_control`."""
