"""The replayed market of one instrument."""

from decimal import Decimal

from squareoff.domain.orders import Side
from squareoff.exchange.book import Depth, DepthLevel, MarketBook


def test_print_offers_both_sides() -> None:
    """A print offers its quantity to buyers and to sellers at one price."""
    book = MarketBook()
    assert not book.is_known

    book.set_print(Decimal("100"), 75)

    assert book.is_known
    assert [level.quantity for side in Side for level in book.opposite(side)] == [75, 75]


def test_newest_update_decides_the_kind_of_book() -> None:
    """Depth replaces a print and a print replaces depth; empty levels are left out."""
    book = MarketBook()
    depth = Depth((DepthLevel(Decimal("99"), 0),), (DepthLevel(Decimal("101"), 50),))

    book.set_depth(depth, None)
    assert book.best_opposite_price(Side.BUY) == 101
    assert book.best_opposite_price(Side.SELL) is None
    book.set_print(Decimal("100"), None)

    assert book.best_opposite_price(Side.SELL) == 100
