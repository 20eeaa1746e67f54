"""The log of an exit: every line of its story carries the ids by which it is found."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from exit_story.values import TRACKER
from service_world.virtual import run_virtual, settle
from service_world.world import running_world
from squareoff.domain.errors import BrokerOutcomeUnknown
from squareoff.domain.states import PositionStatus
from squareoff.services.exits.exit_results import Wait
from squareoff.services.monitoring.fact_log import log_facts

ABOUT_ORDERS = ("order_", "fills_confirmed")


@pytest.fixture
def log() -> Iterator[LogCapture]:
    """Give what is logged, with what the tasks have bound, as the engine's own logs have it."""
    capture, before = LogCapture(), structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture
    structlog.configure(**before)


def test_every_line_of_an_exits_story_carries_its_ids(log: LogCapture) -> None:
    """A lost answer, its settling, the fill and the end: position, exit and order on each line."""
    story: list[dict[str, Any]] = []

    async def body() -> None:
        async with running_world() as world:
            world.engine.exit_engine.on_facts(log_facts)
            await world.hold()
            await settle()
            log.entries.clear()
            world.gateway.answers.append(BrokerOutcomeUnknown("no answer"))
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.CLAIMED)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await settle()
            story.extend(log.entries)

    run_virtual(body())
    events = [line["event"] for line in story]
    correlation_ids = {line.get("correlation_id") for line in story}

    assert {"exit_claimed", "order_sent", "order_outcome_lost", "order_write", "order_settled",
            "order_reported", "position_exited"} <= set(events)  # fmt: skip
    assert [line for line in story if line.get("tracker_id") != TRACKER] == []
    assert len(correlation_ids - {None}) == 1
    assert [line["event"] for line in story if "correlation_id" not in line] == []
    for line in story:
        if line["event"].startswith(ABOUT_ORDERS):
            assert line["client_order_id"].startswith("sqx-"), line


def test_the_log_delays_no_order(log: LogCapture) -> None:
    """When the order leaves, the facts that it waited for are durable and not yet lines."""
    logged: list[list[str]] = []

    async def body() -> None:
        async with running_world() as world:
            world.engine.exit_engine.on_facts(log_facts)
            await world.hold()
            await settle()
            world.gateway.on_write = lambda _: logged.append([e["event"] for e in log.entries])
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.CLAIMED)
            await world.until_status(TRACKER, PositionStatus.EXITED)
            await settle()
            logged.append([line["event"] for line in log.entries])

    run_virtual(body())
    when_sent, in_the_end = logged

    assert "order_sent" not in when_sent
    assert "order_sent" in in_the_end


def test_what_a_task_binds_stays_in_it(log: LogCapture) -> None:
    """Lines that belong to no exit carry no ids of one."""

    async def body() -> None:
        async with running_world() as world:
            await world.hold()
            await world.engine.exit_engine.execute_exit(TRACKER, "x", wait=Wait.FILLED)
            log.entries.clear()
            world.feed.cut()
            await settle()

            assert [line["event"] for line in log.entries] == ["market_feed_disconnected"]
            assert "tracker_id" not in log.entries[0]

    run_virtual(body())
