"""What the night between two trading days does to the accounts and to the market.

Orders of the day end and leave the books, and the kill switch goes off. Shares of CNC and MTF in a
cash segment leave the positions for the holdings, where those of the newest day are not in the
demat yet. What is open of everything else is carried at its cost, what is flat is forgotten, and
the money of both stays in the funds. The market's last price becomes the previous close.
"""

from squareoff.domain.ids import AccountId
from squareoff.domain.instruments import InstrumentId, PositionKey, ProductType
from squareoff.domain.orders import Side
from squareoff.domain.prices import round_average_half_even
from squareoff.exchange.ledger import Position, Trade
from squareoff.simulator.broker import SimulatedBroker
from squareoff.simulator.orders import Account, Delivery


def pass_night(broker: SimulatedBroker, now_ns: int) -> None:
    """Begin the next day of every account and instrument."""
    end_orders(broker, now_ns)
    for account in broker.desk.accounts.values():
        _begin_day(account, now_ns)
    for day in broker.days.values():
        day.begin_next_day()


def end_orders(broker: SimulatedBroker, now_ns: int) -> None:
    """End what works at the exchange, and what was accepted and is not there yet."""
    broker.desk.take_events(broker.engine.expire(now_ns))
    for account in broker.desk.accounts.values():
        for order in account.open_orders():
            broker.desk.cancel_now(order, now_ns)


def _begin_day(account: Account, now_ns: int) -> None:
    account.kill_switch_is_on = False
    for order in account.orders.values():
        order.is_past = True
    for delivery in account.deliveries.values():
        delivery.bought_yesterday = 0
    account.carried = []
    for position in account.ledger.positions():
        if _is_delivered(account, position.instrument_id, position.product_type):
            _deliver(account, position)
        else:
            _carry(account, position, now_ns)
    account.settled.update(trade.trade_id for trade in account.trades)
    account.ledger = account.ledger_as_of(now_ns)


def _is_delivered(account: Account, instrument_id: InstrumentId, product: ProductType) -> bool:
    return PositionKey(AccountId(account.client_id), instrument_id, product).is_delivered


def _deliver(account: Account, position: Position) -> None:
    name = position.instrument_id, position.product_type
    delivery = account.deliveries.setdefault(name, Delivery())
    net = position.net_quantity
    if net > 0:
        held = max(0, delivery.quantity)
        cost = held * delivery.average_price + net * position.cost_price
        delivery.average_price = round_average_half_even(cost, held + net)
    delivery.quantity += net
    delivery.bought_yesterday = max(0, net)
    account.earlier_cash += position.realized_profit - net * position.cost_price
    if delivery.quantity == 0:
        del account.deliveries[name]


def _carry(account: Account, position: Position, now_ns: int) -> None:
    account.earlier_cash += position.realized_profit
    net = position.net_quantity
    if net == 0:
        return
    trade = Trade(
        trade_id=f"overnight-{position.product_type.value}",
        order_id="",
        instrument_id=position.instrument_id,
        product_type=position.product_type,
        side=Side.BUY if net > 0 else Side.SELL,
        quantity=abs(net),
        price=position.cost_price,
        time_ns=now_ns,
        is_carried=True,
    )
    account.carried.append(trade)
