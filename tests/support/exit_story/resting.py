"""An exit order that rests at the exchange, and what moves it on."""

from dataclasses import replace
from decimal import Decimal

from exit_story.story import Story
from exit_story.values import INSTRUMENT, held, net
from squareoff.core.state.commands import RequestReprice, TransmitModify
from squareoff.core.state.inputs import PriceView
from squareoff.domain.orders import BrokerOrderStatus, PositionSide

FUTURE = replace(INSTRUMENT, instrument_type="FUTIDX")


def price(rupees: str) -> PriceView:
    """Return a usable price without depth."""
    return PriceView(Decimal(rupees), None, None, "memory", 0.0)


def resting(side: PositionSide = PositionSide.LONG) -> Story:
    """Return a story whose one order rests at the exchange, sold from 1000.00 at 995.00."""
    story = Story(held(instrument=FUTURE, side=side, entry_price=Decimal(1000)))
    story.claim(net(side.sign * 100))
    story.permit(price=price("1000"))
    story.accept()
    story.see(BrokerOrderStatus.PENDING)
    return story


def chase(story: Story, rupees: str) -> TransmitModify | None:
    """Wait for the chase interval, give a price, and return the modify."""
    story.wait(2.0)
    if not story.wants(RequestReprice):
        return None
    story.reprice(price(rupees))
    modifies = [c for c in story.commands if isinstance(c, TransmitModify)]
    return modifies[0] if modifies else None
