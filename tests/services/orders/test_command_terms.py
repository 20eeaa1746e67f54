"""Every command has one key while under way, orders have a deadline, answers have one meaning."""

from dataclasses import replace

import pytest

from exit_story.story import Story
from squareoff.core.session.lease import SEND_DEADLINE_SECONDS
from squareoff.core.state import commands as c
from squareoff.core.state import inputs as i
from squareoff.domain.ids import BrokerOrderId
from squareoff.domain.states import BlockReason
from squareoff.domain.time import seconds_to_ns
from squareoff.services.orders.command_terms import key_of, send_answer, with_deadline
from squareoff.services.orders.order_router import RouterOutcome, RouterResult


def transmitted() -> c.TransmitOrder:
    """Return the command that sends an order."""
    story = Story().claim()
    story.permit()
    return story.sent[0]


def test_each_send_of_an_order_has_a_key_of_its_own() -> None:
    """A second send of one order is not taken for the first one under way."""
    first = transmitted()
    second = replace(first, send_number=2)

    assert key_of(first) != key_of(second)
    assert key_of(c.ReadPositions()) == key_of(c.ReadPositions())
    assert key_of(c.ReadPositions()) != key_of(c.ReadBooks())
    name, order_id = first.request.client_order_id, BrokerOrderId("B1")
    assert key_of(c.TransmitCancel(name, order_id)) != key_of(
        c.TransmitCancel(name, BrokerOrderId("B2"))
    )


def test_only_what_enters_or_moves_an_order_has_a_deadline() -> None:
    """An order leaves soon after its decision or not at all; a reading may come when it comes."""
    dated = with_deadline(transmitted(), 1_000)
    assert isinstance(dated, c.TransmitOrder)
    assert dated.request.send_before_ns == 1_000 + seconds_to_ns(SEND_DEADLINE_SECONDS)

    assert with_deadline(c.ReadBooks(), 1_000) == c.ReadBooks()


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (RouterOutcome.ACCEPTED, i.SendAccepted),
        (RouterOutcome.REFUSED, i.SendRefused),
        (RouterOutcome.NOT_SENT, i.SendNotMade),
        (RouterOutcome.UNKNOWN, i.SendLost),
    ],
)
def test_each_outcome_has_its_answer(outcome: RouterOutcome, kind: type[i.SendAnswer]) -> None:
    """What the router proved is what the core is told; unreachable is the default hindrance."""
    answer = send_answer(RouterResult(outcome, text="told"))

    assert isinstance(answer, kind)
    if isinstance(answer, i.SendNotMade):
        assert answer.reason is BlockReason.BROKER_UNREACHABLE
