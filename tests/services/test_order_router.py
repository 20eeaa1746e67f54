"""Who may write next, what is tried again, and that no permit is ever lost."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest

from exit_story.values import ACCOUNT, INSTRUMENT
from service_world.broker import ScriptedGateway
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import FullJitter
from squareoff.domain.errors import (
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerProtocolError,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUnreachable,
)
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.instruments import PositionKey, ProductType
from squareoff.domain.orders import OrderModification, OrderRequest, OrderType, Side
from squareoff.domain.rules import Urgency
from squareoff.domain.states import BlockReason
from squareoff.services.metrics import Metrics
from squareoff.services.order_router import OrderRouter, RouterOutcome, RouterResult
from squareoff.services.rate_budget import BreakerState, RateLimits

KEY = PositionKey(ACCOUNT, INSTRUMENT.instrument_id, ProductType.INTRADAY)
REQUEST = OrderRequest(ClientOrderId("sqx-1"), KEY, Side.SELL, OrderType.MARKET, 100)


class Desk:
    """A router over a scripted gateway."""

    def __init__(self, is_stopped: Callable[[Urgency], bool] = lambda u: False, **limits: int):
        self.gateway, self.metrics, self.chance = ScriptedGateway(), Metrics(), FullJitter()
        self.router = OrderRouter(
            self.gateway,
            limits=RateLimits(**limits),
            clock=VirtualClock(),
            chance=self.chance,
            metrics=self.metrics,
            is_stopped=is_stopped,
        )

    async def exit(self, urgency: Urgency = Urgency.STOP) -> RouterResult:
        """Write one exit."""
        await self.router.permit(urgency)
        return await self.router.exit_market(REQUEST, urgency)

    async def open_breaker(self) -> None:
        """Let writes fail until the breaker opens."""
        while self.router.breaker_state is BreakerState.CLOSED:
            self.gateway.answers.append(BrokerOutcomeUnknown("lost"))
            await self.exit()


def now() -> float:
    """Return virtual seconds."""
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("error", "tries", "outcome", "reason"),
    [
        (BrokerUnreachable("no route"), 3, RouterOutcome.NOT_SENT, BlockReason.BROKER_UNREACHABLE),
        (BrokerRateLimited("429"), 3, RouterOutcome.NOT_SENT, BlockReason.BROKER_UNREACHABLE),
        (BrokerSessionExpired("401"), 3, RouterOutcome.NOT_SENT, BlockReason.TOKEN_DEAD),
        (BrokerOutcomeUnknown("lost"), 1, RouterOutcome.UNKNOWN, None),
        (BrokerProtocolError("html"), 1, RouterOutcome.UNKNOWN, None),
        (BrokerError("other"), 1, RouterOutcome.UNKNOWN, None),
        (BrokerRejected("no", code="DH-906", text="bad"), 1, RouterOutcome.REFUSED, None),
        (ValueError("a plug-in's defect"), 1, RouterOutcome.UNKNOWN, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_only_what_is_proved_not_sent_is_tried_again(
    error: Exception, tries: int, outcome: RouterOutcome, reason: BlockReason | None
) -> None:
    """Three tries for a write that did not leave, one for every other."""

    async def body() -> None:
        desk = Desk()
        desk.gateway.answers.extend([error] * 5)

        result = await desk.exit()

        assert (result.outcome, result.block_reason) == (outcome, reason)
        assert len(desk.gateway.requests) == result.attempts == tries
        assert len({request.client_order_id for request in desk.gateway.requests}) == 1

    run_virtual(body())


@pytest.mark.parametrize(
    ("answer", "outcome", "order_id"),
    [
        (True, RouterOutcome.ACCEPTED, None),
        ({"status": "success", "order_id": "112"}, RouterOutcome.ACCEPTED, "112"),
        ("no", RouterOutcome.REFUSED, None),
        ("maybe", RouterOutcome.UNKNOWN, None),
        (None, RouterOutcome.UNKNOWN, None),
    ],
)
def test_a_loose_answer_becomes_the_one_result(
    answer: object, outcome: RouterOutcome, order_id: str | None
) -> None:
    """Whatever a gateway answers, the caller has one result type."""

    async def body() -> None:
        desk = Desk()
        desk.gateway.answers.append(answer)

        result = await desk.exit()

        assert (result.outcome, result.broker_order_id) == (outcome, order_id)

    run_virtual(body())


def test_pauses_grow_exponentially_with_full_jitter() -> None:
    """The pauses are drawn from 0 to 0.2 s and 0 to 0.4 s; a rate limit adds a second."""

    async def body() -> None:
        desk = Desk()
        desk.gateway.answers.extend([BrokerUnreachable("down")] * 2)
        await desk.exit()
        plain = now()
        desk.gateway.answers.extend([BrokerRateLimited("429")] * 2)
        await desk.exit()

        assert desk.chance.asked[:3] == [(0.0, 0.2), (0.0, 0.4), (0.0, 0.8)]
        assert plain == pytest.approx(0.6)
        assert now() - plain == pytest.approx(2.6)

    run_virtual(body())


def test_exits_go_by_urgency_and_then_by_risk() -> None:
    """Waiting writes go out by urgency, within one urgency by the value at stake, entries last."""

    async def body() -> None:
        desk = Desk(per_second=1)
        await desk.router.permit(Urgency.STOP)
        went: list[str] = []

        async def wait(name: str, urgency: Urgency, risk: int) -> None:
            await desk.router.permit(urgency, Decimal(risk))
            went.append(name)

        async with asyncio.TaskGroup() as tasks:
            for each in (
                ("entry", Urgency.ENTRY, 9),
                ("time", Urgency.TIME, 9),
                ("small stop", Urgency.STOP, 1),
                ("target", Urgency.TARGET, 9),
                ("large stop", Urgency.STOP, 5),
                ("kill", Urgency.KILL_SWITCH, 0),
            ):
                tasks.create_task(wait(*each))

        assert went == ["kill", "large stop", "small stop", "target", "time", "entry"]

    run_virtual(body())


@pytest.mark.parametrize(
    ("limits", "span"),
    [
        ({"per_second": 3}, 1),
        ({"per_minute": 5}, 60),
        ({"per_hour": 7}, 3_600),
        ({"per_day": 9}, 86_400),
    ],
)
def test_no_window_ever_holds_more_than_its_limit(limits: dict[str, int], span: float) -> None:
    """Over every horizon, never more writes than the limit in any window."""

    async def body() -> None:
        desk = Desk(**{"per_second": 1000, **limits})
        times: list[float] = []

        async def write() -> None:
            await desk.router.permit(Urgency.STOP)
            times.append(now())

        async with asyncio.TaskGroup() as tasks:
            for _ in range(25):
                tasks.create_task(write())

        limit = next(iter(limits.values()))
        assert len(times) == 25
        for start in times:
            assert sum(start <= t < start + span - 1e-6 for t in times) <= limit

    run_virtual(body())


@pytest.mark.parametrize("horizon", ["per_second", "per_minute", "per_hour", "per_day"])
def test_entries_leave_a_reserve_for_exits(horizon: str) -> None:
    """However many entries ask, an exit finds room at once on every horizon."""

    async def body() -> None:
        desk = Desk(**{horizon: 8})
        entries = [
            asyncio.get_running_loop().create_task(desk.router.permit(Urgency.ENTRY))
            for _ in range(20)
        ]
        await settle()

        assert sum(entry.done() for entry in entries) == 6
        await desk.router.permit(Urgency.TIME)
        await desk.router.permit(Urgency.TIME)
        assert now() == 0.0
        for entry in entries:
            entry.cancel()

    run_virtual(body())


def test_the_breaker_delays_and_probes_with_an_exit() -> None:
    """An open breaker refuses nothing: it waits, then lets the most urgent exit probe."""

    async def body() -> None:
        desk = Desk()
        await desk.open_breaker()
        opened, went = now(), []

        async def wait(urgency: Urgency) -> None:
            await desk.router.permit(urgency)
            went.append((urgency, now() - opened))
            await desk.router.exit_market(REQUEST, urgency)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait(Urgency.ENTRY))
            tasks.create_task(wait(Urgency.TARGET))
            tasks.create_task(wait(Urgency.STOP))

        assert len(went) == 3
        assert went[0] == (Urgency.STOP, pytest.approx(3.0))
        assert desk.router.breaker_state is BreakerState.CLOSED

    run_virtual(body())


def test_a_failed_probe_opens_the_breaker_again() -> None:
    """While the broker stays away one probe goes every three seconds."""

    async def body() -> None:
        desk = Desk()
        await desk.open_breaker()
        desk.gateway.requests.clear()
        desk.gateway.answers.extend([BrokerOutcomeUnknown("lost")] * 3)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(desk.exit())

        assert now() == pytest.approx(12.0)

    run_virtual(body())


@pytest.mark.parametrize("end", ["returned", "defect", "cancelled while granted"])
def test_a_probe_that_is_not_answered_does_not_hang_the_others(end: str) -> None:
    """However a half-open probe ends, the next waiting exit gets its turn."""

    async def body() -> None:
        desk = Desk()
        await desk.open_breaker()
        await asyncio.sleep(3.0)
        if end == "returned":
            await desk.router.permit(Urgency.STOP)
            desk.router.return_permit()
        elif end == "defect":
            desk.gateway.answers.append(RuntimeError("a plug-in's defect"))
            await desk.exit()
        else:
            await desk.router.permit(Urgency.STOP)
            waiting = asyncio.get_running_loop().create_task(desk.router.permit(Urgency.STOP))
            await settle()
            desk.router.return_permit()  # grants the waiting one, which is cancelled before it runs
            waiting.cancel()
            await settle()

        assert (await desk.exit()).outcome is RouterOutcome.ACCEPTED

    run_virtual(body())


@pytest.mark.parametrize("seed", range(6))
def test_a_cancelled_waiter_takes_nothing_with_it(seed: int) -> None:
    """A permit whose asker was cancelled goes to the next in line."""

    async def body() -> None:
        desk = Desk(per_second=1)
        await desk.router.permit(Urgency.STOP)
        first = asyncio.get_running_loop().create_task(desk.router.permit(Urgency.KILL_SWITCH))
        second = asyncio.get_running_loop().create_task(desk.router.permit(Urgency.TIME))
        await settle()
        first.cancel()
        await second

        assert now() == pytest.approx(1.0)
        assert desk.router.waiting_count == 0

    run_virtual(body(), seed)


def test_a_retry_that_waits_too_long_is_given_up() -> None:
    """A retry does not send minutes later what was sized now: it ends as not sent."""

    async def body() -> None:
        desk = Desk(per_minute=1)
        desk.gateway.answers.append(BrokerUnreachable("down"))

        result = await desk.exit()

        assert (result.outcome, result.attempts) == (RouterOutcome.NOT_SENT, 1)
        assert len(desk.gateway.requests) == 1
        assert now() < 6.0
        assert desk.router.waiting_count == 0

    run_virtual(body())


@pytest.mark.parametrize("thrown_after", [0, 1])
def test_a_thrown_kill_switch_stops_the_next_try(thrown_after: int) -> None:
    """Once writes are stopped no try begins, not even a retry, and the permit is given back."""

    async def body() -> None:
        desk = Desk(is_stopped=lambda urgency: len(desk.gateway.requests) >= thrown_after)
        desk.gateway.answers.extend([BrokerUnreachable("down")] * 3)

        result = await desk.exit()

        assert len(desk.gateway.requests) == thrown_after
        assert result.block_reason is BlockReason.KILL_SWITCH
        assert result.outcome is RouterOutcome.NOT_SENT

    run_virtual(body())


def test_cancels_and_modifies_share_the_one_result() -> None:
    """Modify and cancel answer with the same result; a cancel waits for its own permit."""

    async def body() -> None:
        desk = Desk(is_stopped=lambda urgency: True)
        order = desk.gateway.accept(REQUEST)
        cancelled = await desk.router.cancel_order(order.broker_order_id, Urgency.STOP)
        await desk.router.permit(Urgency.STOP)
        target = OrderModification(
            BrokerOrderId("B1"), ClientOrderId("sqx-1"), OrderType.MARKET, 100
        )
        modified = await desk.router.modify_order(target, Urgency.STOP)

        assert cancelled.outcome is RouterOutcome.ACCEPTED
        assert modified.block_reason is BlockReason.KILL_SWITCH

    run_virtual(body())


def test_writes_are_counted() -> None:
    """Calls by outcome, retries, the breaker and the time for a permit are in the metrics."""

    async def body() -> None:
        desk = Desk()
        desk.gateway.answers.append(BrokerUnreachable("down"))
        await desk.exit()
        await desk.open_breaker()
        text = desk.metrics.render().decode()

        for line in (
            'squareoff_router_calls_total{operation="exit",outcome="accepted"} 1.0',
            'squareoff_router_calls_total{operation="exit",outcome="unknown"} 5.0',
            'squareoff_router_retries_total{operation="exit"} 1.0',
            "squareoff_breaker_open 1.0",
            'squareoff_permit_wait_seconds_count{urgency="stop"} 7.0',
        ):
            assert line in text

    run_virtual(body())


def test_a_dead_token_does_not_open_the_breaker() -> None:
    """A broker that refuses the token is there: no breaker delays the exit after the renewal."""

    async def body() -> None:
        desk = Desk()
        desk.gateway.answers.extend([BrokerSessionExpired("401")] * 9)
        for _ in range(3):
            await desk.exit()

        assert desk.router.breaker_state is BreakerState.CLOSED

    run_virtual(body())
