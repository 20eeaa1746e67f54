"""A time-ordered agenda: what the simulated broker will do later, driven by whoever owns time."""

import heapq
from collections.abc import Callable


class Agenda:
    """Holds callbacks by due time; equal times run in the order they were added."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[[int], None]]] = []
        self._count = 0

    def add(self, due_ns: int, action: Callable[[int], None]) -> None:
        """Run `action(now_ns)` at the first `advance` that reaches `due_ns`."""
        self._count += 1
        heapq.heappush(self._heap, (due_ns, self._count, action))

    def next_due_ns(self) -> int | None:
        """Return the earliest due time, None when nothing is planned."""
        return self._heap[0][0] if self._heap else None

    def advance(self, now_ns: int) -> None:
        """Run everything due up to `now_ns`, each at its own due time, earliest first."""
        while self._heap and self._heap[0][0] <= now_ns:
            due_ns, _, action = heapq.heappop(self._heap)
            action(due_ns)
