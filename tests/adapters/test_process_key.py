"""A process is called gone only where the system says so for certain."""

import os
import subprocess
import sys

import pytest

from squareoff.adapters.process_key import is_gone, process_key

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux names processes exactly"
)


def test_a_living_process_is_not_gone() -> None:
    """Our own key is stable, and we live."""
    assert process_key() == process_key(os.getpid()) != ""
    assert not is_gone(process_key())


def test_an_ended_process_is_gone_also_before_its_parent_asked() -> None:
    """Killed and not yet waited for it is a zombie, which runs nothing any more."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    key = process_key(child.pid)
    assert not is_gone(key)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(key)
    child.communicate()
    assert is_gone(key)


def test_another_process_under_the_same_id_is_not_the_one() -> None:
    """Ids are used again; the start tells them apart."""
    place, _, started = process_key().rpartition("/")

    assert is_gone(f"{place}/{int(started) - 1}")


@pytest.mark.parametrize("key", ["", "x", "/", "//", "boot/space/x/1", "boot/pid:[1]/1/1"])
def test_what_cannot_be_judged_is_not_called_gone(key: str) -> None:
    """No key, a broken one, or one of another boot or namespace: no claim."""
    assert not is_gone(key)


def test_a_process_that_is_not_there_has_no_key() -> None:
    """There is nothing to name."""
    assert process_key(2**22 + 1) == ""
