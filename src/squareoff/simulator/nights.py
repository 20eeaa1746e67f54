"""What the night between two trading days does to an account.

Orders of the day leave the books. Shares of CNC and MTF in a cash segment leave the positions for
the holdings, where those of the newest day are not in the demat yet; everything else is carried.
"""

from squareoff.domain.ids import AccountId
from squareoff.domain.instruments import InstrumentId, PositionKey, ProductType
from squareoff.exchange.ledger import Position
from squareoff.simulator.orders import Account, Delivery


def pass_night(account: Account, now_ns: int) -> None:
    """Begin the account's next day."""
    for order in account.orders.values():
        order.is_past = True
    for delivery in account.deliveries.values():
        delivery.bought_yesterday = 0
    for position in account.ledger.positions():
        if _is_delivered(account, position.instrument_id, position.product_type):
            _deliver(account, position)
    account.ledger = account.ledger_as_of(now_ns)


def _is_delivered(account: Account, instrument_id: InstrumentId, product: ProductType) -> bool:
    return PositionKey(AccountId(account.client_id), instrument_id, product).is_delivered


def _deliver(account: Account, position: Position) -> None:
    name = position.instrument_id, position.product_type
    delivery = account.deliveries.setdefault(name, Delivery())
    net = position.net_quantity
    delivery.quantity += net
    delivery.bought_yesterday = max(0, net)
    if net > 0:
        delivery.average_price = position.buy_average
    if delivery.quantity == 0:
        del account.deliveries[name]
    account.settled.update(
        trade.trade_id
        for trade in account.trades
        if (trade.instrument_id, trade.product_type) == name
    )
