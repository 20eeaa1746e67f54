"""The few rules by which an order is judged from its sends and records."""

import pytest

from squareoff.simulator.protocol_model.order_rules import (
    Kind,
    Outcome,
    Status,
    kind_of,
    leaves_of,
    merged,
    origin_of,
)

LIVE_0, FILLED_2 = (Status.LIVE, 0), (Status.FILLED, 2)
CANCELLED_1, REJECTED_0 = (Status.CANCELLED, 1), (Status.REJECTED, 0)


@pytest.mark.parametrize(
    ("outcomes", "records", "kind", "leaves"),
    [
        pytest.param([], [], Kind.ABSENT, 0, id="dropped before any send"),
        pytest.param([Outcome.IN_FLIGHT], [], Kind.LIVE, 2, id="in flight"),
        pytest.param([Outcome.UNKNOWN], [], Kind.LIVE, 2, id="unknown"),
        pytest.param([Outcome.ABSENT], [], Kind.ABSENT, 0, id="proved absent"),
        pytest.param([Outcome.REFUSED], [], Kind.ENDED_SHORT, 0, id="refused"),
        pytest.param([Outcome.ABSENT, Outcome.NONE], [], Kind.ABSENT, 0, id="resend never left"),
        pytest.param([Outcome.ACCEPTED], [LIVE_0], Kind.LIVE, 2, id="working"),
        pytest.param([Outcome.ACCEPTED], [FILLED_2], Kind.FILLED, 0, id="filled"),
        pytest.param([Outcome.ACCEPTED], [CANCELLED_1], Kind.ENDED_SHORT, 0, id="cancelled"),
        pytest.param(
            [Outcome.ABSENT, Outcome.UNKNOWN],
            [REJECTED_0],
            Kind.LIVE,
            2,
            id="one ended, the other may live",
        ),
        pytest.param(
            [Outcome.ABSENT, Outcome.ACCEPTED],
            [LIVE_0, (Status.LIVE, 1)],
            Kind.LIVE,
            3,
            id="one id, two orders",
        ),
    ],
)
def test_what_an_order_is(
    outcomes: list[Outcome], records: list[tuple[int, int]], kind: Kind, leaves: int
) -> None:
    """Sends and records together say what an order of 2 is, and what it may still close."""
    assert kind_of(2, outcomes, records) is kind
    assert leaves_of(kind, 2, records) == leaves


def test_a_record_is_credited_only_where_it_must_belong() -> None:
    """With two sends that may be its origin, a rejection resolves neither."""
    assert origin_of([Outcome.UNKNOWN], [False]) == 0
    assert origin_of([Outcome.ABSENT, Outcome.UNKNOWN], [False, False]) is None
    assert origin_of([Outcome.ACCEPTED, Outcome.UNKNOWN], [True, False]) == 1
    assert origin_of([Outcome.IN_FLIGHT], [False]) is None


def test_reports_only_add() -> None:
    """Quantities never fall and an end stays an end, in whatever order reports come."""
    assert merged(None, LIVE_0) == LIVE_0
    assert merged(CANCELLED_1, LIVE_0) == CANCELLED_1
    assert merged((Status.LIVE, 1), LIVE_0) == (Status.LIVE, 1)
    assert merged(LIVE_0, CANCELLED_1) == CANCELLED_1
    assert merged(CANCELLED_1, (Status.CANCELLED, 2)) == (Status.CANCELLED, 2)
