"""Orders that other programs place on the account by themselves."""

import json

from squareoff.simulator.virtual.plans import FOREIGN_SECURITY
from squareoff.simulator.virtual.world import ACCOUNT, World
from squareoff.simulator.wire import WireRequest

_FOREIGN_KEY = ("NSE_EQ", FOREIGN_SECURITY, "INTRADAY")


def trade_foreign(world: World) -> None:
    """Let another program place an order of its own on a key of its own."""
    chance = world.market_chance
    tag = chance.choice(("other-program-1", "sqx-not-ours", "x"))
    side = chance.choice(("BUY", "SELL"))
    post_order(world, _FOREIGN_KEY, side, chance.randint(1, 50), tag)


def post_order(world: World, key: tuple[str, str, str], side: str, quantity: int, tag: str) -> None:
    """Place a MARKET order under a tag, past every engine of ours."""
    segment, security_id, product = key
    body = {
        "dhanClientId": ACCOUNT,
        "correlationId": tag,
        "transactionType": side,
        "exchangeSegment": segment,
        "productType": product,
        "orderType": "MARKET",
        "validity": "DAY",
        "securityId": security_id,
        "quantity": quantity,
    }
    headers = {"access-token": world.tokens[-1], "client-id": ACCOUNT}
    request = WireRequest("POST", "/orders", {}, headers, json.dumps(body).encode())
    world.act("order of others", lambda now_ns: world.broker.handle(request, now_ns))
