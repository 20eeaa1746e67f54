"""`python -m squareoff.cli.bench.flood_callers PORT CALLS_PER_SECOND`: callers gone mad.

A process of its own that calls the API of this machine at a pace, whatever comes back: with a right
token, a wrong one and none in turn, half of it on connections that are kept, each other on a new
one. The first line of its input is the right token; then each line says for how many seconds to
call, and is answered by a line of JSON with the calls made and how they were answered.
"""

import asyncio
import itertools
import json
import sys
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress

from uvloop import new_event_loop

HOST = "127.0.0.1"
KEPT_CONNECTIONS = 30
OPEN_MAX = 400
"""More than this many calls without an answer are not begun: the server holds them back."""

ANSWER_SECONDS_MAX = 10.0
STEP_SECONDS = 0.001
NO_ANSWER, HELD_BACK = "no answer", "held back"
_WRONG = "x" * 43


class Callers:
    """Calls at a pace, and what became of them."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        authorizations = (f"Authorization: Bearer {token}\r\n", f"Authorization: {_WRONG}\r\n", "")
        heads = (
            f"GET /api/v1/status HTTP/1.1\r\nHost: {HOST}:{port}\r\n{line}\r\n".encode()
            for line in authorizations
        )
        self._calls = itertools.cycle(itertools.product(tuple(heads), (True, False)))
        self._kept: list[_Connection] = []
        self._open = 0
        self.answers: Counter[str] = Counter()

    async def call_for(self, seconds: float, calls_per_second: float) -> None:
        """Call for so long, and wait for the answers that are still out."""
        loop = asyncio.get_running_loop()
        began, made = loop.time(), 0
        async with asyncio.TaskGroup() as tasks:
            while (passed := loop.time() - began) < seconds:
                while made < passed * calls_per_second:
                    made += 1
                    self._begin(tasks)
                await asyncio.sleep(STEP_SECONDS)

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        head, is_kept = next(self._calls)
        if self._open >= OPEN_MAX:
            self.answers[HELD_BACK] += 1
            return
        self._open += 1
        tasks.create_task(self._counted(self._call(head, is_kept=is_kept)))

    async def _counted(self, call: Awaitable[str]) -> None:
        answer = NO_ANSWER
        with suppress(OSError, EOFError, ValueError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                answer = await call
        self.answers[answer] += 1
        self._open -= 1

    async def _call(self, head: bytes, *, is_kept: bool) -> str:
        connection = self._kept.pop() if is_kept and self._kept else None
        if connection is None:
            connection = _Connection(*await asyncio.open_connection(HOST, self._port))
        is_whole = False
        try:
            status = await connection.ask(head)
            is_whole = True
        finally:
            if is_whole and is_kept and len(self._kept) < KEPT_CONNECTIONS:
                self._kept.append(connection)
            else:
                connection.close()
        return status


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, head: bytes) -> str:
        """Send a call and return the status of its answer, read to its end."""
        self._writer.write(head)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await self._reader.readexactly(int(length))
        return answer.split(maxsplit=2)[1].decode()

    def close(self) -> None:
        self._writer.transport.abort()


async def _serve(port: int, calls_per_second: float) -> None:
    loop = asyncio.get_running_loop()
    callers = Callers(port, (await loop.run_in_executor(None, sys.stdin.readline)).strip())
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        callers.answers.clear()
        await callers.call_for(float(line), calls_per_second)
        print(json.dumps(callers.answers), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
