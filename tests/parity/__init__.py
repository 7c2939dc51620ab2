"""Tests that run on uvicorn 0.54 and on bicorn and must see no difference."""
