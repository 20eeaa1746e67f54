"""The simulator in a thread of the calling process: for tests, notebooks and rehearsals."""

import asyncio
import json
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any

from squareoff.domain.errors import SquareoffError
from squareoff.simulator.server import SimulatorOptions, run_simulator

START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 20.0
ADMIN_SECONDS_MAX = 20.0


class EmbeddedSimulator:
    """A running simulator on a free loopback port; a context manager.

    `options.port` is taken as it is (0 for a free one); `port` tells the chosen one.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._cancel: Callable[[], object] = lambda: None
        self.port = 0
        self._options = replace(options, on_ready=self._take_port)
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    @property
    def rest_url(self) -> str:
        """Base of the REST API."""
        return f"http://127.0.0.1:{self.port}/v2"

    @property
    def order_update_url(self) -> str:
        """Address of the order-update socket."""
        return f"ws://127.0.0.1:{self.port}/order-update"

    @property
    def feed_url(self) -> str:
        """Address of the market feed."""
        return f"ws://127.0.0.1:{self.port}/feed"

    def __enter__(self) -> "EmbeddedSimulator":
        self._thread.start()
        assert self._ready.wait(START_SECONDS_MAX), "the simulator did not start in time"
        if self._failure is not None:
            raise self._failure
        assert self.port, "the simulator failed at its start; its thread told why"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop serving and wait until the state file is written."""
        self._cancel()
        self._thread.join(STOP_SECONDS_MAX)
        assert not self._thread.is_alive(), "the simulator did not stop in time"

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Call the admin: `admin("POST", "ticks", {...})`; return its JSON.

        Raises:
            urllib.error.HTTPError: the admin refused; the body says why.
        """
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/admin/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=ADMIN_SECONDS_MAX) as response:
            return json.loads(response.read())

    def state(self, *parts: str) -> dict[str, Any]:
        """Return GET /admin/state, or the named parts of it."""
        value = self.admin("GET", "state" + (f"?parts={','.join(parts)}" if parts else ""))
        assert isinstance(value, dict), "the state is an object"
        return value

    def _take_port(self, port: int) -> None:
        self.port = port
        self._ready.set()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except asyncio.CancelledError:
            pass
        except (OSError, SquareoffError) as error:  # for the thread that waits in __enter__
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        loop = asyncio.get_running_loop()
        self._cancel = lambda: None if loop.is_closed() else loop.call_soon_threadsafe(task.cancel)
        await run_simulator(self._options)
