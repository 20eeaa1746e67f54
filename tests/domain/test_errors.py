"""Tests of domain.errors: every broker failure says whether the order may have left."""

import pytest

from squareoff.domain.errors import (
    BrokerError,
    BrokerOutcomeUnknown,
    BrokerProtocolError,
    BrokerRateLimited,
    BrokerRejected,
    BrokerSessionExpired,
    BrokerUnreachable,
    ConfigError,
    InvalidTransition,
    Sent,
)


@pytest.mark.parametrize(
    ("error", "sent"),
    [
        (BrokerError, Sent.MAYBE),
        (BrokerUnreachable, Sent.NO),
        (BrokerRateLimited, Sent.NO),
        (BrokerSessionExpired, Sent.NO),
        (BrokerOutcomeUnknown, Sent.MAYBE),
        (BrokerProtocolError, Sent.MAYBE),
        (BrokerRejected, Sent.YES),
    ],
)
def test_a_broker_error_says_whether_the_order_left(error: type[BrokerError], sent: Sent) -> None:
    """NO needs proof and stands only where it exists; an unclassed failure is MAYBE."""
    assert error("text").sent is sent


def test_a_config_error_keeps_one_line_per_fault() -> None:
    """All faults of the settings are told at once, one line each."""
    assert str(ConfigError(["a: bad", "b: bad"])) == "a: bad\nb: bad"
    assert ConfigError("a: bad").faults == ["a: bad"]


def test_an_invalid_transition_names_machine_state_trigger_and_subject() -> None:
    """The message of an impossible pair says what was asked of what."""
    text = str(InvalidTransition("OrderState", "FILLED", "SEND", "sqx-1"))

    for word in ("OrderState", "FILLED", "SEND", "sqx-1"):
        assert word in text
