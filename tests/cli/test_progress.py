"""Progress is for people: at a terminal, and only where something takes its time."""

import io
import threading
from collections.abc import Callable

import pytest

from squareoff.cli import progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Timer:
    """A timer whose time comes at once, or never."""

    comes = True

    def __init__(self, _seconds: float, act: Callable[[], None]) -> None:
        self._act = act
        self.daemon = False

    def start(self) -> None:
        if self.comes:
            self._act()

    def cancel(self) -> None:
        """Nothing is left to do."""

    def join(self) -> None:
        """It has ended."""


def _shown(screen: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, comes: bool) -> str:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(threading, "Timer", type("_T", (_Timer,), {"comes": comes}))
    with progress.working("copying"):
        pass
    return screen.getvalue()


def test_a_long_work_is_named_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its second is over."""
    assert "copying" in _shown(_Terminal(), monkeypatch, comes=True)


def test_a_short_work_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its second is over."""
    assert "copying" not in _shown(_Terminal(), monkeypatch, comes=False)


def test_a_script_hears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or a pipe gets no moving signs."""
    assert _shown(io.StringIO(), monkeypatch, comes=True) == ""
