"""Tests of web.fact_sentences: every fact can be told to a person."""

import json

import pytest

from squareoff.adapters.sql.codec import encode_fact
from squareoff.core.state.facts import (
    FACT_TYPES,
    ExitBlocked,
    Fact,
    OrderOutcomeLost,
    OrderReported,
    OrderSent,
    OrderVanished,
    OverExitDetected,
    fact_kind,
)
from squareoff.domain.ids import BrokerOrderId, ClientOrderId, TrackerId
from squareoff.domain.orders import BrokerOrderStatus, OrderType, ReportSource
from squareoff.domain.states import BlockReason
from squareoff.web.fact_sentences import SENTENCES, sentence_of

TRACKER, ORDER = TrackerId("trk-1"), ClientOrderId("sqx-000000000000-001-01")


def test_every_kind_has_a_sentence() -> None:
    """No fact of the journal is shown to a person as raw data, and none is told that is not."""
    assert SENTENCES.keys() == FACT_TYPES.keys()


@pytest.mark.parametrize(
    ("fact", "told"),
    [
        (
            OrderSent(TRACKER, ORDER, 1, OrderType.MARKET, None, "none"),
            "committed, then sent: MARKET",
        ),
        (
            OrderOutcomeLost(TRACKER, ORDER, 1, "timed out"),
            "its outcome is unknown (timed out): ask, never resend",
        ),
        (
            ExitBlocked(TRACKER, BlockReason.TOKEN_DEAD, "the token is dead", 0, 5.0),
            "waits: the token is dead",
        ),
        (
            OrderVanished(TRACKER, ORDER, BrokerOrderId("B1"), BrokerOrderStatus.MISSING, 3, 12.5),
            "B1 was accepted and is in none of the broker's books (3 readings in 12.5 s)",
        ),
        (
            OrderVanished(TRACKER, ORDER, BrokerOrderId("B1"), BrokerOrderStatus.MISSING, 0, 0.0),
            "B1 at the broker is not the entry that was waited for",
        ),
        (OverExitDetected(TRACKER, 75), "OVER-EXIT: 75 more were closed than were held"),
        (
            OrderReported(
                TRACKER,
                ORDER,
                BrokerOrderId("B1"),
                BrokerOrderStatus.REJECTED,
                0,
                None,
                "RMS: price outside the band",
                ReportSource.ORDER_BOOK,
            ),
            "learns from the order book: REJECTED, 0 filled (RMS: price outside the band)",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fact_is_told_in_words(fact: Fact, told: str) -> None:
    """The sentence says what a tired person needs: what happened, and what happens next."""
    assert sentence_of(fact_kind(type(fact)), json.loads(encode_fact(fact))) == told


def test_prices_are_told_in_rupees() -> None:
    """As the journal's entries show them."""
    data = {"day_low": "141.5", "day_high": "160.00"}

    told = "prices beyond the day's 141.50 to 160.00 count for it from here on"
    assert sentence_of("day_range_noted", data) == told


@pytest.mark.parametrize(
    ("price", "told"),
    [
        ("83.2525", "83.2525"),
        ("83.2575", "83.2575"),
        ("83.25", "83.25"),
        ("26000.1", "26000.10"),
        ("26000.03333333", "26000.03"),
    ],
)
def test_a_limit_is_told_as_it_is_sent(price: str, told: str) -> None:
    """Currency has ticks of a quarter of a paisa; only averages are told to the paisa."""
    data = {"limit_price": price, "broker_order_id": "B1"}

    assert sentence_of("order_modify_sent", data) == f"moves the order to {told}"


def test_an_unknown_kind_is_shown_by_its_name() -> None:
    """A journal of a newer engine is still readable."""
    assert sentence_of("moon_landed", {}) == "moon_landed"
