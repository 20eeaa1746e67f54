"""Running the jobs of one connection together."""

import asyncio

import pytest

from squareoff.adapters.broker.dhan.socket_session import SocketSession, run_until_disconnected
from squareoff.adapters.broker.dhan.transport import SocketEnded
from squareoff.domain.errors import FeedDisconnected


def test_the_first_end_is_told_and_the_others_are_cancelled():
    """One job's disconnect ends the rest, and is raised as itself, not in a group."""
    cancelled = []

    async def wait():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def end():
        await asyncio.sleep(0)
        raise FeedDisconnected("gone", 805)

    with pytest.raises(FeedDisconnected) as caught:
        asyncio.run(run_until_disconnected(wait(), end(), wait()))

    assert (caught.value.code, cancelled) == (805, [True, True])


def test_a_bug_is_not_taken_for_a_disconnect():
    """Another failure of a job comes out as itself in a group."""

    async def fail():
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(run_until_disconnected(fail()))

    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)


def test_writing_to_a_dead_connection_is_a_disconnect(fakes):
    """A send on a connection that is gone raises our error with the close code."""

    class Dead(fakes.socket):
        async def send_text(self, text):
            raise SocketEnded("could not write", close_code=1006)

    async def body():
        session = SocketSession("x", Dead(), fakes.clock())
        with pytest.raises(FeedDisconnected) as caught:
            await session.send("hello")
        assert "1006" in str(caught.value)

    asyncio.run(body())
