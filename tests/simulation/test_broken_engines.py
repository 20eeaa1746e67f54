"""The auditor bites: engines that are broken on purpose are caught within a few hundred seeds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from squareoff.core.state import order_fold
from squareoff.core.state.facts import OrderReported
from squareoff.core.state.tracker import BrokerOrder
from squareoff.services.exits.exit_engine import ExitEngine
from squareoff.services.orders.order_router import OrderRouter, RouterOutcome
from squareoff.simulator.virtual.knobs import Knobs
from squareoff.simulator.virtual.run_seed import run_seed

SEEDS_MAX = 300


def _resend_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A router that tries again where it cannot know whether the order left."""
    honest: Any = OrderRouter._attempt

    async def attempt(self: OrderRouter, write: Any, number: int, *more: Any) -> Any:
        answer = await honest(self, write, number, *more)
        if answer[0].outcome is RouterOutcome.UNKNOWN:
            return await honest(self, write, number + 1, *more)
        return answer

    monkeypatch.setattr(OrderRouter, "_attempt", attempt)


def _sum_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that takes the cumulative quantity of every message for a new fill."""
    honest = order_fold.merge_record

    def merge(known: BrokerOrder, fact: OrderReported) -> BrokerOrder:
        total = known.cumulative_quantity + fact.cumulative_quantity
        return replace(honest(known, fact), cumulative_quantity=total)

    monkeypatch.setattr(order_fold, "merge_record", merge)


def _send_before_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that lets commands out before their decision is committed."""
    honest: Any = ExitEngine._decide_and_commit

    async def act_then_commit(self: ExitEngine, actor: Any, event: Any) -> Any:
        decision = self._decide(actor, event, self._clock.now())
        if self._carry_out is not None:
            self._carry_out(actor, decision)
        return await honest(self, actor, event)

    monkeypatch.setattr(ExitEngine, "_decide_and_commit", act_then_commit)


@pytest.mark.parametrize(
    ("sabotage", "invariant"),
    [
        pytest.param(_resend_unknown, "I3", id="resends an unknown outcome"),
        pytest.param(_sum_fills, "I6", id="sums fills"),
        # The gate refuses what was not committed, so the defect shows before an order does.
        pytest.param(_send_before_commit, "I20", id="sends before the commit"),
    ],
)
def test_a_broken_engine_is_caught(
    sabotage: Callable[[pytest.MonkeyPatch], None],
    invariant: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A broken engine violates the invariant that is there against it."""
    sabotage(monkeypatch)

    for seed in range(SEEDS_MAX):
        # Every second run is calm: some breaks show at once there, and drown in faults elsewhere.
        calm = Knobs(chaos_seconds=10.0, position_count=2)
        found = run_seed(seed, knobs=None if seed % 2 else calm).violations
        if any(line.startswith(f"{invariant}:") for line in found):
            print(f"caught at seed {seed}: {found}")
            return
    pytest.fail(f"{SEEDS_MAX} seeds did not catch it")
