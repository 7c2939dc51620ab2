"""What is different for suites whose clients, other people's, run in the process of the tests."""

from __future__ import annotations

import pytest

# In environments of their own; bicorn is in other processes, and what those log is checked.
_FOREIGN_CLIENTS = ("test_world_", "test_hosts")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Show, and do not take for a failure, what a client has forgotten: it is noticed in any test behind its own.

    python-socketio's, for one, does not close the connection on which it is refused.
    """
    for item in items:
        if item.path.name.startswith(_FOREIGN_CLIENTS):
            item.add_marker(pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning"))
