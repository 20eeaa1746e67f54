"""Reads keep below the broker's rate, and look-ups make way for what everybody shares."""

import asyncio
from collections import Counter

import pytest

from service_world.virtual import VirtualClock, run_virtual, settle
from squareoff.services.positions.read_pace import BOOK_SPACING_SECONDS, ReadKind, ReadPace

READS_PER_SECOND, BOOKS_PER_SECOND, LOOK_UPS_PER_SECOND = 16, 12, 10


class Readers:
    """Asks for turns, and notes when each was given."""

    def __init__(self) -> None:
        self.pace = ReadPace(VirtualClock(), READS_PER_SECOND)
        self.given: list[tuple[float, ReadKind]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def ask(self, kind: ReadKind, count: int) -> None:
        loop = asyncio.get_running_loop()
        self.tasks += [loop.create_task(self._turn(kind)) for _ in range(count)]

    async def _turn(self, kind: ReadKind) -> None:
        await self.pace.turn(kind)
        self.given.append((asyncio.get_running_loop().time(), kind))

    async def all_given(self) -> Counter[tuple[int, ReadKind]]:
        """Return how many turns of each kind were given in each second."""
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return Counter((round(at), kind) for at, kind in self.given)


BOOKS = tuple(kind for kind in ReadKind if kind is not ReadKind.LOOK_UP)


def test_no_second_holds_more_look_ups_than_their_limit() -> None:
    """What comes beyond it waits until the oldest is a second ago."""

    async def body() -> None:
        readers = Readers()
        readers.ask(ReadKind.LOOK_UP, 2 * LOOK_UPS_PER_SECOND + 1)
        given = await readers.all_given()

        assert given == {
            (0, ReadKind.LOOK_UP): LOOK_UPS_PER_SECOND,
            (1, ReadKind.LOOK_UP): LOOK_UPS_PER_SECOND,
            (2, ReadKind.LOOK_UP): 1,
        }

    run_virtual(body())


def test_an_exit_alone_waits_for_nothing() -> None:
    """While little is read, a book may be read again at once."""

    async def body() -> None:
        readers = Readers()
        readers.ask(ReadKind.POSITIONS, READS_PER_SECOND // 2)
        await readers.all_given()

        assert {at for at, _ in readers.given} == {0.0}

    run_virtual(body())


def test_a_book_among_many_reads_is_read_again_only_after_a_round_trip() -> None:
    """Between two readings everybody can share; the books do not wait for each other."""

    async def body() -> None:
        readers = Readers()
        readers.ask(ReadKind.LOOK_UP, READS_PER_SECOND // 2)
        await settle()
        for kind in BOOKS[:2]:
            readers.ask(kind, 3)
        await readers.all_given()

        for kind in BOOKS[:2]:
            times = sorted(at for at, of in readers.given if of is kind)
            assert times == pytest.approx([0.0, BOOK_SPACING_SECONDS, 2 * BOOK_SPACING_SECONDS])

    run_virtual(body())


def test_no_second_holds_more_reads_than_the_limit() -> None:
    """Books and look-ups together keep to it, and neither takes it all."""

    async def body() -> None:
        readers = Readers()
        readers.ask(ReadKind.LOOK_UP, 60)
        for kind in BOOKS:
            readers.ask(kind, 20)
        await readers.all_given()

        times = sorted(at for at, _ in readers.given)
        late = times[READS_PER_SECOND:]
        assert all(after - at >= 0.999 for at, after in zip(times, late, strict=False))
        in_turns = Counter(kind for at, kind in readers.given if 1.0 <= at < 4.0)
        assert in_turns[ReadKind.LOOK_UP] >= 3 * (READS_PER_SECOND - BOOKS_PER_SECOND)
        assert in_turns[ReadKind.POSITIONS] >= 3

    run_virtual(body())


def test_a_book_never_waits_for_a_look_up() -> None:
    """However many look-ups came first, an exit is sized at once."""

    async def body() -> None:
        readers = Readers()
        readers.ask(ReadKind.LOOK_UP, 25)
        await settle()
        readers.ask(ReadKind.POSITIONS, 1)
        await readers.all_given()

        assert [at for at, kind in readers.given if kind is ReadKind.POSITIONS] == [0.0]

    run_virtual(body())


def test_a_cancelled_reader_holds_nobody_up() -> None:
    """Who waits behind him goes as soon as there is room."""

    async def body() -> None:
        readers = Readers()
        readers.ask(ReadKind.LOOK_UP, LOOK_UPS_PER_SECOND + 3)
        await settle()
        next(task for task in readers.tasks if not task.done()).cancel()
        given = await readers.all_given()

        assert sorted(given.values()) == [2, LOOK_UPS_PER_SECOND]

    run_virtual(body())
