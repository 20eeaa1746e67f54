"""A recorded feed through the whole engine: its times, its connections, and the same each time."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from feed_records import FUTURE, START_NS, at, frame, ticker
from squareoff.adapters.calendar import AlwaysOpen
from squareoff.adapters.feed_recording.records import FeedRecord, RecordKind, json_payload
from squareoff.assembly import EngineSettings
from squareoff.domain.errors import ConfigError, DomainError
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.instruments import ProductType
from squareoff.domain.orders import PositionSide
from squareoff.domain.rules import PriceRule, RuleSet
from squareoff.domain.time import NANOSECONDS_PER_SECOND
from squareoff.services.desk.desk_requests import PositionRequest
from squareoff.simulator.feed_replay.replay_report import ReplayReport, report_as_json
from squareoff.simulator.feed_replay.replaying import PlannedPosition, ReplaySettings, replay
from squareoff.simulator.feed_replay.timed_records import TimedRecord

HELD = PositionRequest(
    exchange_segment=FUTURE.instrument_id.exchange_segment,
    security_id=FUTURE.instrument_id.security_id,
    product_type=ProductType.INTRADAY,
    side=PositionSide.LONG,
    quantity=75,
    entry_price=Decimal("25974.90"),
    rules=RuleSet(stop_loss=PriceRule(points=Decimal(20)), target=PriceRule(points=Decimal(5))),
)
LONG = PlannedPosition(TrackerId("long"), HELD)


def price(seconds: float, value: float) -> FeedRecord:
    return frame(seconds, ticker(value, int(seconds)))


def event(seconds: float, kind: RecordKind, payload: bytes = b"") -> FeedRecord:
    return FeedRecord(kind, 1, at(seconds), payload)


def ended(seconds: float) -> FeedRecord:
    how = {"text": "reset", "close_code": 1006, "http_status": None}
    return event(seconds, RecordKind.ENDED, json_payload(how))


def play(*records: FeedRecord, position: PlannedPosition = LONG, **changes: Any) -> ReplayReport:
    first_ns = records[0].received.wall_ns if records else 0
    timed = [TimedRecord(each.received.wall_ns - first_ns, each) for each in records]
    settings = ReplaySettings(
        engine=EngineSettings(AccountId("PAPER"), "paper"),
        calendar=AlwaysOpen(),
        **{"pause": lambda seconds: None, **changes},
    )
    unlimited = replace(FUTURE, lower_circuit=None, upper_circuit=None)
    return replay(timed, {FUTURE.instrument_id: unlimited}, [position], settings)


def test_an_exit_has_the_recordings_times_to_the_nanosecond() -> None:
    """What fired is told with the exchange's time and the receipt that were recorded."""
    crossing = replace(price(3, 25980.0), received=at(3.123456789))
    report = play(price(0, 25974.9), price(1, 25979.8), crossing, price(9, 25970.0))

    (found,) = report.positions
    assert found.trigger is not None
    assert found.trigger.rule.value == "target"
    assert found.trigger.level == 259_799_000
    assert found.trigger.exchange_time_ns == START_NS + 3 * NANOSECONDS_PER_SECOND
    assert found.trigger.received_time_ns == START_NS + 3_123_456_789
    assert found.claimed_at_ns == START_NS + 3_123_456_789
    assert found.view.exit_price == Decimal("25980.00")


def test_the_same_recording_gives_the_same_report() -> None:
    """Nothing of a replay depends on the machine or on chance."""
    records = [price(second / 7, 25974.9 + second % 11 * 0.1) for second in range(200)]
    rules = RuleSet(stop_loss=PriceRule(points=Decimal("0.3")))
    position = PlannedPosition(LONG.tracker_id, replace(HELD, rules=rules), START_NS + 10**9)

    reports = [report_as_json(play(*records, position=position)) for _ in range(3)]

    assert reports[0] == reports[1] == reports[2]
    assert reports[0]["positions"][0]["status"] == "ACTIVE"


def test_prices_from_before_a_position_was_opened_do_not_concern_it() -> None:
    """A position is held from its own time on."""
    later = replace(LONG, opened_at_ns=at(2).wall_ns)
    report = play(price(0, 25974.9), price(1, 25900.0), price(3, 25974.9), position=later)

    assert report.positions[0].trigger is None
    assert report.positions[0].view.status.value == "ACTIVE"


@pytest.mark.parametrize("away_seconds", [0.5, 45.0])
def test_a_recorded_reconnect_is_played(away_seconds: float) -> None:
    """After the recorded end the feed is back when the recorded connection was, not before."""
    back = 2 + away_seconds
    report = play(
        event(0, RecordKind.CONNECTED),
        price(1, 25974.9),
        ended(2),
        event(back, RecordKind.CONNECTED),
        price(back + 1, 25980.0),
        price(back + 3, 25981.0),
    )

    (found,) = report.positions
    assert found.trigger is not None
    assert found.trigger.received_time_ns == at(back + 1).wall_ns


def test_a_price_before_a_reconnect_confirms_nothing_after_it() -> None:
    """A spike before the end of a connection is still one print when it comes again after it."""
    spike = 20_000.0
    same_line = play(price(0, 25974.9), price(1, spike), price(2, spike), price(4, 25974.9))
    cut = play(price(0, 25974.9), price(1, spike), ended(1.5), price(2, spike), price(4, 25974.9))

    assert same_line.positions[0].trigger is not None
    assert cut.positions[0].trigger is None
    assert cut.ticks_refused == {"spike": 2}


def test_a_long_silence_is_no_dead_connection() -> None:
    """Pings are not recorded; a recorded connection lives until its recorded end."""
    report = play(price(0, 25974.9), price(600, 25980.0), price(605, 25980.0))

    assert report.positions[0].trigger is not None
    assert report.market_seconds == 601  # it ends with the last open position


def test_a_speed_lets_real_time_pass() -> None:
    """At speed 10 a recorded minute takes six seconds."""
    paused: list[float] = []
    play(price(0, 25974.9), price(60, 25975.0), speed=10.0, pause=paused.append)

    assert sum(paused) == pytest.approx((60 + 5 + 10) / 10, abs=0.3)


def test_nothing_to_play_is_refused() -> None:
    """An empty recording is a mistake, not an empty report."""
    with pytest.raises(ConfigError, match="nothing to play"):
        play()


def test_a_position_that_cannot_be_is_refused() -> None:
    """The refusal is the desk's own, with its field."""
    odd = PlannedPosition(TrackerId("odd"), replace(HELD, quantity=76))

    with pytest.raises(DomainError, match="multiple of the lot size"):
        play(price(0, 25974.9), price(5, 25974.9), position=odd)
