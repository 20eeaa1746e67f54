"""Take positions under watch that somebody else opened at the broker, by `adopt_rules`."""

from squareoff.core.opening import NewPosition
from squareoff.core.square_off_times import SquareOffTimes
from squareoff.domain.ids import AccountId, TrackerId
from squareoff.domain.orders import BrokerPosition, PositionSide
from squareoff.domain.rules import RuleSet
from squareoff.ports import IdSource, InstrumentSource
from squareoff.services.exit_engine import ExitEngine


class Adoption:
    """Opens a tracker for a position of the broker that nobody watches."""

    def __init__(
        self,
        engine: ExitEngine,
        account_id: AccountId,
        *,
        rules: RuleSet,
        square_off: SquareOffTimes,
        instruments: InstrumentSource,
        ids: IdSource,
    ) -> None:
        self._engine = engine
        self._account_id = account_id
        self._rules = rules
        self._square_off = square_off
        self._instruments = instruments
        self._ids = ids

    async def adopt(self, row: BrokerPosition) -> bool:
        """Take one position under watch; one of an unknown instrument stays a mismatch.

        Returns:
            Whether it was taken.

        Raises:
            StoreError: it could not be written; the next comparison finds it again.
        """
        instrument = self._instruments.get(row.instrument_id)
        if instrument is None:
            return False  # without lot and tick no exit could be priced; the mismatch is alarmed
        is_long = row.net_quantity > 0
        await self._engine.open(
            NewPosition(
                tracker_id=TrackerId(self._ids.new_id("trk")),
                account_id=self._account_id,
                instrument=instrument,
                product_type=row.product_type,
                side=PositionSide.LONG if is_long else PositionSide.SHORT,
                quantity=abs(row.net_quantity),
                entry_price=row.buy_average if is_long else row.sell_average,
                rules=self._square_off.rules_for_adopted(
                    self._rules, row.instrument_id.exchange_segment, row.product_type
                ),
            )
        )
        return True
