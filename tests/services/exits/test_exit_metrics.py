"""The steps of an exit are measured, and what is going on is counted."""

from decimal import Decimal

from exit_story.story import Story
from exit_story.values import ACCOUNT, TRACKER
from service_world.virtual import START_WALL_NS, run_virtual, settle
from service_world.world import World, running_world
from squareoff.core.state.facts import OrderReported
from squareoff.domain.errors import BrokerOutcomeUnknown
from squareoff.domain.orders import BrokerOrderStatus
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.states import PositionStatus
from squareoff.services.exits.exit_metrics import ExitMetrics
from squareoff.services.exits.exit_results import Wait


def value(world: World, name: str, **labels: str) -> float | None:
    """Return a sample as Prometheus would read it."""
    world.engine.metrics.render()
    return world.engine.metrics.registry.get_sample_value(f"squareoff_{name}", labels)


def test_each_step_of_an_exit_is_measured_once() -> None:
    """From the trigger to the send, the broker's word, the fill and the end."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.fills = False
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.ACCEPTED)
            assert value(world, "sent_to_accepted_seconds_count") == 1.0
            assert value(world, "accepted_to_filled_seconds_count") == 0.0
            world.gateway.fill(next(iter(world.gateway.orders)))
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert value(world, "trigger_to_claim_seconds_count") == 0.0  # a person asked
            assert value(world, "trigger_to_sent_seconds_count") == 1.0
            assert value(world, "accepted_to_filled_seconds_count") == 1.0
            assert value(world, "trigger_to_exited_seconds_count") == 1.0
            assert value(world, "exits_ended_total", rule="manual", outcome="exited") == 1.0
            assert value(world, "orders_ended_total", status="traded") == 1.0
            assert value(world, "positions", status="EXITED") == 1.0
            assert value(world, "positions", status="ACTIVE") == 0.0

    run_virtual(body())


def test_the_way_from_a_price_to_its_claim_is_measured() -> None:
    """It begins when the price came in."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold(rules=RuleSet(stop_loss=PriceRule(price=Decimal("149.00"))))
            world.tick("148.90")
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert value(world, "trigger_to_claim_seconds_count") == 1.0

    run_virtual(body())


def test_an_order_that_is_told_filled_again_is_measured_once() -> None:
    """The broker's second word on it changes the average price at most."""
    story = Story().work()
    story.see(BrokerOrderStatus.TRADED, 100)

    async def body() -> None:
        async with running_world() as world:
            book, metrics = world.engine.exit_engine.book, world.engine.metrics
            measured = ExitMetrics(book, metrics)
            measured.note(story.tracker, [*story.facts, story.facts[-1]], START_WALL_NS)

            assert isinstance(story.facts[-1], OrderReported)
            assert value(world, "accepted_to_filled_seconds_count") == 1.0

    run_virtual(body())


def test_an_unknown_outcome_is_counted_until_it_is_settled() -> None:
    """It shows while it is unknown, and is settled as found once the broker shows the order."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            lost = BrokerOutcomeUnknown("no answer")
            world.gateway.answers.append(lost)
            world.gateway.on_write = lambda name: world.gateway.accept(world.gateway.requests[-1])
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.CLAIMED)
            await world.until(lambda: value(world, "outcomes_unknown_total") == 1.0)
            await world.until(lambda: value(world, "outcomes_settled_total", how="found") == 1.0)

            assert value(world, "orders_unknown") == 0.0
            assert value(world, "outcomes_settled_total", how="absent") is None

    run_virtual(body())


def test_an_order_proved_absent_is_settled_as_such() -> None:
    """The quarantine passes, no book shows it: absent, and the exit goes on."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.gateway.answers.append(BrokerOutcomeUnknown("no answer"))
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.CLAIMED)
            await world.until(lambda: value(world, "orders_unknown") == 1.0)
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert value(world, "outcomes_settled_total", how="absent") == 1.0
            assert value(world, "orders_unknown") == 0.0

    run_virtual(body())


def test_what_waits_is_shown_by_its_reason() -> None:
    """An exit on a closed market waits under that reason, and no longer once it went."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            world.calendar.opens_in_seconds = 100.0
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.CLAIMED)
            await world.until(lambda: value(world, "exits_blocked", reason="market_closed") == 1.0)
            world.calendar.opens_in_seconds = 0.0
            await world.until_status(TRACKER, PositionStatus.EXITED)

            assert value(world, "exits_blocked", reason="market_closed") == 0.0

    run_virtual(body())


def test_the_engine_tells_its_own_state() -> None:
    """Readiness, the kill switch, the age of the feed and of the comparison."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            assert value(world, "ready") == 1.0
            assert value(world, "kill_switch_active") == 0.0
            world.tick("150.00")
            await settle()
            assert value(world, "feed_age_seconds") == 0.0
            age = value(world, "reconciliation_age_seconds")
            assert age is not None
            assert age < 60.0
            world.gateway.hold(world.tracker(TRACKER).key, 40)
            await world.engine.desk.reconcile()
            assert value(world, "reconciliation_differences") == 1.0
            assert value(world, "reconciliation_findings_total", kind="difference") == 1.0
            world.feed.cut()
            await settle()
            assert value(world, "ready") == 0.0

    assert ACCOUNT
    run_virtual(body())
