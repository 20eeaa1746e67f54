"""Standing square-off times: who gets one, and who never does."""

from datetime import time

import pytest

from squareoff.core.rules.square_off_times import NO_SQUARE_OFF_TIMES, SquareOffTimes
from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.rules import NO_RULES, RuleSet

FNO, MCX = ExchangeSegment.NSE_FNO, ExchangeSegment.MCX_COMM
TIMES = SquareOffTimes({FNO: time(15, 15)})
OWN = RuleSet(square_off_at=time(14, 0))
CARRIED = [ProductType.CNC, ProductType.MARGIN, ProductType.MTF]
INTRADAY = [ProductType.INTRADAY, ProductType.CO, ProductType.BO]


@pytest.mark.parametrize("product", INTRADAY)
def test_an_intraday_position_gets_its_segments_time(product: ProductType) -> None:
    """Where its owner gave no time; in other segments nothing is set."""
    assert TIMES.rules_for(NO_RULES, FNO, product).square_off_at == time(15, 15)
    assert TIMES.rules_for(OWN, FNO, product) == OWN
    assert TIMES.rules_for(NO_RULES, MCX, product) == NO_RULES
    assert NO_SQUARE_OFF_TIMES.rules_for(NO_RULES, FNO, product) == NO_RULES


@pytest.mark.parametrize("product", CARRIED)
def test_what_carries_forward_keeps_what_its_owner_said(product: ProductType) -> None:
    """It gets no standing time; a time that its owner gave it stands."""
    assert TIMES.rules_for(NO_RULES, FNO, product) == NO_RULES
    assert TIMES.rules_for(OWN, FNO, product) == OWN


@pytest.mark.parametrize("product", [*INTRADAY, *CARRIED])
def test_an_adopted_position_gets_the_standing_rules_as_they_fit(product: ProductType) -> None:
    """The default rules' square-off time is meant for what is intraday alone."""
    adopted = TIMES.rules_for_adopted(OWN, FNO, product)
    without = TIMES.rules_for_adopted(NO_RULES, FNO, product)

    assert adopted.square_off_at == (time(14, 0) if product in INTRADAY else None)
    assert without.square_off_at == (time(15, 15) if product in INTRADAY else None)
