"""Square-off times that hold for whole segments: which positions get one.

Invariants:
1. A position's own square-off time goes before that of its segment.
2. What carries forward (CNC, MARGIN, MTF) never gets a time that its owner did not give to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import time

from squareoff.domain.instruments import ExchangeSegment, ProductType
from squareoff.domain.rules import RuleSet


@dataclass(frozen=True, slots=True)
class SquareOffTimes:
    """Times by segment, IST; a segment without one squares nothing off by itself."""

    by_segment: Mapping[ExchangeSegment, time] = field(default_factory=dict)

    def rules_for(self, rules: RuleSet, segment: ExchangeSegment, product: ProductType) -> RuleSet:
        """Return the rules of a position that its owner gave these rules."""
        wanted = self.by_segment.get(segment)
        if wanted is None or rules.square_off_at is not None or not product.is_intraday:
            return rules
        return replace(rules, square_off_at=wanted)

    def rules_for_adopted(
        self, rules: RuleSet, segment: ExchangeSegment, product: ProductType
    ) -> RuleSet:
        """Return the rules of a position that nobody gave any: the standing ones, as they fit."""
        if not product.is_intraday:
            return replace(rules, square_off_at=None)
        return self.rules_for(rules, segment, product)


NO_SQUARE_OFF_TIMES = SquareOffTimes()
