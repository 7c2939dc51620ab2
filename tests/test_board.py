"""Numbers that workers share: what one process writes, another reads, and nothing is left of a board that is gone."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bicorn._bicorn import Board

ATTACH_AND_WRITE = """
import sys
from bicorn._bicorn import Board
board = Board.attach(int(sys.argv[1]))
board.set_state(1, "ready")
board.set_draining(True)
board.count_restart("hangup")
"""


def test_what_one_process_writes_another_reads() -> None:
    board = Board(2)
    fd = os.dup(board.fileno())
    os.set_inheritable(fd, True)
    try:
        subprocess.run([sys.executable, "-c", ATTACH_AND_WRITE, str(fd)], check=True, pass_fds=[fd], timeout=30)
    finally:
        os.close(fd)
    assert [board.state(0), board.state(1)] == ["free", "ready"]
    assert board.is_draining
    assert (board.restarts("hangup"), board.restarts("exit")) == (1, 0)


def test_an_attached_board_outlives_the_descriptor() -> None:
    board = Board(1)
    fd = os.dup(board.fileno())
    attached = Board.attach(fd)
    os.close(fd)
    attached.set_state(0, "leaving")
    assert board.state(0) == "leaving"
    assert Board.attach(attached.fileno()).state(0) == "leaving"


def test_a_new_board_is_empty() -> None:
    board = Board(3)
    assert board.slots == 3
    assert not board.is_draining
    for slot in range(3):
        assert board.state(slot) == "free"
        assert board.connections(slot) == {"http/1": 0, "http/2": 0, "websocket": 0}
        assert (board.accepted(slot), board.total_requests(slot), board.turn(slot)) == (0, 0, 0)
        assert board.stalled_for(slot) == 0.0


def test_what_is_no_board_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"x", b"\0" * 100_000, os.urandom(100_000)):
        path = tmp_path / "board"
        path.write_bytes(content)
        with path.open("r+b") as file, pytest.raises(OSError, match=r"not a board|Invalid argument"):
            Board.attach(file.fileno())
    with pytest.raises(OSError, match="Bad file descriptor"):
        Board.attach(-1)


@pytest.mark.parametrize("slots", [0, 100_000])
def test_a_board_has_a_sensible_number_of_slots(slots: int) -> None:
    with pytest.raises(ValueError, match=f": {slots}$"):
        Board(slots)


def test_unknown_slots_and_names_are_refused() -> None:
    board = Board(2)
    for call in (board.free, board.state, board.connections, board.accepted, board.stalled_for, board.turn):
        with pytest.raises(IndexError, match="no slot 2$"):
            call(2)
    with pytest.raises(ValueError, match="no such state: asleep$"):
        board.set_state(0, "asleep")
    with pytest.raises(ValueError, match="no such cause: boredom$"):
        board.count_restart("boredom")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="nothing tells what is mapped")
def test_nothing_is_left_of_boards_that_are_gone() -> None:
    def mapped() -> int:
        gc.collect()
        return Path("/proc/self/maps").read_text().count("bicorn-board")

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = mapped(), descriptors()
    boards = [board for _ in range(100) for board in _pair()]
    assert mapped() > before[0]
    del boards
    assert (mapped(), descriptors()) == before


def _pair() -> tuple[Board, Board]:
    board = Board(4)
    return board, Board.attach(board.fileno())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can seal it")
def test_nobody_can_cut_a_board_off() -> None:
    board = Board(1)
    with pytest.raises(PermissionError):
        os.ftruncate(board.fileno(), 0)
    board.set_state(0, "ready")


def test_a_slot_that_is_freed_keeps_what_was_counted() -> None:
    board = Board(1)
    board.set_state(0, "ready")
    board.count_restart("signal")
    board.free(0)
    assert board.state(0) == "free"
    assert board.restarts("signal") == 1
