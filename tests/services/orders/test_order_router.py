"""Who may write next, what is tried again, and that no permit is ever lost."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from exit_story.committed import EXIT, claimed, grown, request_of, with_modifies, with_order
from exit_story.values import TRACKER
from service_world.broker import ScriptedGateway
from service_world.virtual import VirtualClock, run_virtual, settle
from service_world.world import FullJitter
from squareoff.core.state.facts import OrderReported
from squareoff.core.state.tracker import PositionTracker
from squareoff.domain.errors import (
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerProtocolError,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSendForbidden,
    BrokerSessionExpired,
    BrokerUnreachable,
    InvariantBroken,
)
from squareoff.domain.ids import BrokerOrderId, ClientOrderId
from squareoff.domain.orders import (
    BrokerOrderStatus,
    OrderModification,
    OrderType,
    ReportSource,
    Side,
)
from squareoff.domain.rules import Urgency
from squareoff.domain.states import BlockReason
from squareoff.services.monitoring.metrics import Metrics
from squareoff.services.orders.circuit_breaker import BreakerState, Endpoint
from squareoff.services.orders.order_gate import OrderGate
from squareoff.services.orders.order_router import OrderRouter, RouterOutcome, RouterResult
from squareoff.services.orders.rate_budget import RateLimits, WriteKind
from squareoff.services.positions.position_book import PositionBook

HELD = with_order(claimed())
REQUEST = request_of(HELD)
MODIFY = OrderModification(BrokerOrderId("B1"), EXIT, OrderType.MARKET, 100)


class Desk:
    """A router over a scripted gateway."""

    def __init__(self, is_stopped: Callable[[Urgency], bool] = lambda u: False, **limits: int):
        self.gateway, self.metrics, self.chance = ScriptedGateway(), Metrics(), FullJitter()
        self.book = PositionBook()
        self.actor = self.book.add(HELD)
        self.router = OrderRouter(
            self.gateway,
            OrderGate(self.book),
            limits=RateLimits(**limits),
            clock=VirtualClock(),
            chance=self.chance,
            metrics=self.metrics,
            is_stopped=is_stopped,
        )

    async def exit(self, urgency: Urgency = Urgency.STOP) -> RouterResult:
        """Write one exit."""
        await self.router.permit(urgency)
        return await self.send(urgency)

    async def send(self, urgency: Urgency = Urgency.STOP) -> RouterResult:
        """Write one exit whose permit was granted."""
        version = self.actor.tracker.version
        return await self.router.exit_market(REQUEST, urgency, decided_version=version)

    @property
    def breaker(self) -> BreakerState:
        """Where the breaker of placements stands."""
        return self.router.queue.breaker_state(Endpoint.PLACEMENTS)

    async def open_breaker(self) -> None:
        """Let writes fail until the breaker opens."""
        while self.breaker is BreakerState.CLOSED:
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
    """The pauses are drawn from 0 to 0.2 s and 0 to 0.4 s; a rate limit adds a second, and the
    second one in a row holds the whole budget for two."""

    async def body() -> None:
        desk = Desk()
        desk.gateway.answers.extend([BrokerUnreachable("down")] * 2)
        await desk.exit()
        plain = now()
        desk.gateway.answers.extend([BrokerRateLimited("429")] * 2)
        await desk.exit()

        assert desk.chance.asked[:3] == [(0.0, 0.2), (0.0, 0.4), (0.0, 0.8)]
        assert plain == pytest.approx(0.6)
        assert now() - plain == pytest.approx(1.2 + 2.0)

    run_virtual(body())


def test_exits_go_by_urgency_and_then_by_risk() -> None:
    """By urgency, then cancels, placements and modifies, the largest value at stake first."""

    async def body() -> None:
        desk = Desk(per_second=1)
        await desk.exit()
        went: list[str] = []

        async def wait(name: str, urgency: Urgency, risk: int) -> None:
            kind = WriteKind[name.split()[0].upper()]
            await desk.router.permit(urgency, Decimal(risk), kind)
            went.append(name)
            desk.router.queue.end_answered(desk.router.queue.begin(kind))

        async with asyncio.TaskGroup() as tasks:
            for each in (
                ("place entry", Urgency.ENTRY, 9),
                ("place time", Urgency.TIME, 9),
                ("modify of a stop", Urgency.STOP, 9),
                ("place small stop", Urgency.STOP, 1),
                ("place target", Urgency.TARGET, 9),
                ("cancel for a stop", Urgency.STOP, 0),
                ("place large stop", Urgency.STOP, 5),
                ("place kill", Urgency.KILL_SWITCH, 0),
            ):
                tasks.create_task(wait(*each))

        assert went == [
            "place kill",
            "cancel for a stop",
            "place large stop",
            "place small stop",
            "modify of a stop",
            "place target",
            "place time",
            "place entry",
        ]
        assert now() == pytest.approx(8.0)

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
            desk.router.queue.end_answered(desk.router.queue.begin(WriteKind.PLACE))

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
            await desk.send(urgency)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wait(Urgency.ENTRY))
            tasks.create_task(wait(Urgency.TARGET))
            tasks.create_task(wait(Urgency.STOP))

        assert len(went) == 3
        assert went[0] == (Urgency.STOP, pytest.approx(1.0))
        assert desk.breaker is BreakerState.CLOSED

    run_virtual(body())


def test_a_failed_probe_opens_the_breaker_again() -> None:
    """While the broker stays away one probe goes at a time, at pauses that grow."""

    async def body() -> None:
        desk = Desk()
        await desk.open_breaker()
        opened = now()
        desk.gateway.answers.extend([BrokerOutcomeUnknown("lost")] * 3)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(desk.exit())

        assert now() - opened == pytest.approx(1.0 + 2.0 + 4.0 + 5.0)

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
        await desk.exit()
        first = asyncio.get_running_loop().create_task(desk.router.permit(Urgency.KILL_SWITCH))
        second = asyncio.get_running_loop().create_task(desk.router.permit(Urgency.TIME))
        await settle()
        first.cancel()
        await second

        assert now() == pytest.approx(1.0)
        assert desk.router.queue.waiting() == 0

    run_virtual(body(), seed)


def test_a_retry_that_waits_too_long_is_given_up() -> None:
    """A retry does not send minutes later what was sized now: it ends as not sent."""

    async def body() -> None:
        desk = Desk(per_minute=1)
        desk.gateway.answers.append(BrokerSessionExpired("dead", http_status=401))

        result = await desk.exit()

        assert (result.outcome, result.attempts) == (RouterOutcome.NOT_SENT, 1)
        assert len(desk.gateway.requests) == 1
        assert now() < 6.0
        assert desk.router.queue.waiting() == 0

    run_virtual(body())


def test_a_permit_of_before_a_long_standstill_is_none() -> None:
    """Three writes wait for a price while the process stands still; others have the turns since.

    Found by the simulation (seed 67016): eleven left within a second, the broker takes ten.
    """

    async def body() -> None:
        desk = Desk(per_second=4)
        assert desk.router.take_permits(Urgency.STOP, 3) == 3
        await asyncio.sleep(20.0)
        assert desk.router.take_permits(Urgency.STOP, 4) == 4
        results = [await desk.send() for _ in range(7)]

        made = [RouterOutcome.ACCEPTED] * 4 + [RouterOutcome.NOT_SENT] * 3
        assert [result.outcome for result in results] == made
        assert results[-1].block_reason is BlockReason.SEND_FORBIDDEN
        assert desk.gateway.calls.count("exit_market") == 4
        await asyncio.sleep(1.0)
        assert desk.router.queue.budget_used()[0] == 0
        assert (await desk.exit()).outcome is RouterOutcome.ACCEPTED

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
        await desk.router.permit(Urgency.STOP, kind=WriteKind.MODIFY)
        modified = await desk.router.modify_order(MODIFY, Urgency.STOP)

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
        waiting = asyncio.get_running_loop().create_task(desk.router.permit(Urgency.TARGET))
        await asyncio.sleep(0.5)
        text = desk.metrics.render().decode()

        for line in (
            'squareoff_router_calls_total{operation="exit",outcome="accepted"} 1.0',
            'squareoff_router_calls_total{operation="exit",outcome="unknown"} 8.0',
            'squareoff_router_retries_total{operation="exit"} 1.0',
            "squareoff_breaker_open 1.0",
            'squareoff_breaker_state{endpoint="placements"} 2.0',
            'squareoff_breaker_state{endpoint="changes"} 0.0',
            'squareoff_permit_wait_seconds_count{urgency="stop"} 10.0',
            'squareoff_permits_waiting{urgency="target"} 1.0',
            "squareoff_oldest_exit_wait_seconds 0.5",
            'squareoff_budget_used{horizon="minute"} 9.0',
        ):
            assert line in text
        waiting.cancel()

    run_virtual(body())


def test_a_dead_token_does_not_open_the_breaker() -> None:
    """A broker that refuses the token is there: no breaker delays the exit after the renewal."""

    async def body() -> None:
        desk = Desk()
        desk.gateway.answers.extend([BrokerSessionExpired("401")] * 9)
        for _ in range(3):
            await desk.exit()

        assert desk.breaker is BreakerState.CLOSED

    run_virtual(body())


NOT_ON_THE_WIRE = (
    BrokerSessionExpired("not sent, the access token is dead"),
    BrokerUnreachable("no route"),
    BrokerSendForbidden("the lease has run out"),
)


@pytest.mark.parametrize("error", NOT_ON_THE_WIRE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_a_write_that_never_left_uses_up_no_budget(error: Exception, seconds: float) -> None:
    """An hour of cancels without a token leaves the whole hour's limit to the exits after it."""

    async def body() -> None:
        desk = Desk(per_hour=30)

        async def fail() -> None:
            await asyncio.sleep(seconds)
            raise error

        desk.gateway.cancel_order = lambda broker_order_id: fail()  # type: ignore[assignment]
        for _ in range(12):
            await desk.router.cancel_order(BrokerOrderId("B1"), Urgency.STOP)

        assert desk.router.queue.budget_used() == (0, 0, 0, 0)
        started = now()
        await asyncio.gather(*(desk.exit() for _ in range(8)))
        assert now() - started < 8.0

    run_virtual(body())


@pytest.mark.parametrize(("http_status", "closes"), [(None, False), (401, True)])
def test_only_the_brokers_own_word_on_the_token_closes_a_breaker(
    http_status: int | None, closes: bool
) -> None:
    """A call that our own keeper holds back asks the broker nothing."""

    async def body() -> None:
        desk = Desk()
        await desk.open_breaker()
        desk.gateway.answers.extend([BrokerSessionExpired("dead", http_status=http_status)] * 3)
        await desk.exit()

        assert (desk.breaker is BreakerState.CLOSED) is closes

    run_virtual(body())


def test_too_many_requests_slows_down_every_write() -> None:
    """After a 429 nobody writes for a second, whether it proves a refusal or not."""

    async def body() -> None:
        for error in (
            BrokerRateLimited("DH-904", http_status=429),
            BrokerOutcomeUnknown("429 of a proxy", http_status=429),
        ):
            desk = Desk()
            desk.gateway.answers.append(error)
            began = now()
            first = asyncio.get_running_loop().create_task(desk.exit())
            await settle()
            await desk.router.permit(Urgency.KILL_SWITCH)

            assert now() - began == pytest.approx(1.0)
            desk.router.return_permit()
            is_unknown = isinstance(error, BrokerOutcomeUnknown)
            expected = RouterOutcome.UNKNOWN if is_unknown else RouterOutcome.ACCEPTED
            assert (await first).outcome is expected
            assert len(desk.gateway.requests) == (1 if is_unknown else 2)
            assert desk.breaker is BreakerState.CLOSED

    run_virtual(body())


def test_many_answers_of_too_many_requests_do_not_open_the_breaker() -> None:
    """A broker that says "too many" is there: the budget slows down, no breaker opens."""

    async def body() -> None:
        desk = Desk()
        desk.gateway.answers.extend([BrokerRateLimited("429")] * 30)
        for _ in range(10):
            await desk.exit()

        assert desk.breaker is BreakerState.CLOSED

    run_virtual(body())


def test_what_the_gate_refuses_never_leaves_and_gives_its_permit_back() -> None:
    """A defect caught at the gate is raised, nothing is sent, and a probe's place is free again."""

    async def body() -> None:
        desk = Desk()
        await desk.open_breaker()
        sent = len(desk.gateway.requests)
        await desk.router.permit(Urgency.STOP)
        with pytest.raises(InvariantBroken):
            await desk.router.exit_market(
                replace(REQUEST, side=Side.BUY), Urgency.STOP, decided_version=0
            )

        assert len(desk.gateway.requests) == sent
        assert (await desk.exit()).outcome is RouterOutcome.ACCEPTED

    run_virtual(body())


def test_a_retry_that_fills_have_overtaken_is_held_back() -> None:
    """What was borne out at the first try and is not at the second ends as not sent."""

    async def body() -> None:
        desk = Desk()
        desk.gateway.answers.append(BrokerUnreachable("down"))
        leaving = asyncio.get_running_loop().create_task(desk.exit())
        await settle()
        desk.book.replace(desk.actor, _closed_meanwhile(desk.actor.tracker), 0)
        result = await leaving

        assert (result.outcome, result.block_reason) == (
            RouterOutcome.NOT_SENT,
            BlockReason.RESERVED,
        )
        assert (len(desk.gateway.requests), result.attempts) == (1, 1)

    run_virtual(body())


def _closed_meanwhile(tracker: PositionTracker) -> PositionTracker:
    """Return the tracker after an order thought lost has closed a part of it."""
    late = ClientOrderId("sqx-late")
    tracker = with_order(tracker, late, 25)
    filled = OrderReported(
        TRACKER,
        late,
        BrokerOrderId("B9"),
        BrokerOrderStatus.TRADED,
        25,
        Decimal("151.50"),
        "",
        ReportSource.STREAM,
    )
    return grown(tracker, filled)


def test_an_open_breaker_of_placements_lets_cancels_and_modifies_through() -> None:
    """Each class of calls fails alone."""

    async def body() -> None:
        desk = Desk(per_second=100)
        await desk.open_breaker()
        desk.book.replace(desk.actor, with_modifies(HELD, 1), 0)
        order = desk.gateway.accept(REQUEST)
        began = now()
        cancelled = await desk.router.cancel_order(order.broker_order_id, Urgency.STOP)
        await desk.router.permit(Urgency.STOP, kind=WriteKind.MODIFY)
        modified = await desk.router.modify_order(MODIFY, Urgency.STOP)

        assert cancelled.outcome is modified.outcome is RouterOutcome.ACCEPTED
        assert now() - began < 1.0
        assert desk.breaker is BreakerState.OPEN
        assert desk.router.queue.breaker_state(Endpoint.CHANGES) is BreakerState.CLOSED

    run_virtual(body())
