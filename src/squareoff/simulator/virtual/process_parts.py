"""The parts of one process: the real engine over the ports of its virtual life."""

import random

from squareoff.adapters.broker.dhan.credentials import FixedToken
from squareoff.adapters.broker.dhan.market_feed import DhanMarketFeed
from squareoff.adapters.broker.dhan.order_updates import DhanOrderUpdates
from squareoff.adapters.broker.dhan.rest import DhanRestClient, RestSettings
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.assembly import Engine, EngineSettings, Ports, assemble
from squareoff.core.policy import ExitPolicy
from squareoff.domain.orders import OrderType
from squareoff.services.account_ownership import AccountOwnership
from squareoff.services.gateway import GatewayLive
from squareoff.simulator.virtual.incarnation import Incarnation, ProcessClock, SeededIds
from squareoff.simulator.virtual.network import (
    FEED_URL,
    ORDER_UPDATE_URL,
    VirtualHttp,
    VirtualSockets,
)
from squareoff.simulator.virtual.store_at_risk import StoreAtRisk
from squareoff.simulator.virtual.world import ACCOUNT, TOKEN, World

QUARANTINE_SECONDS = 10.0


def assemble_process(
    world: World,
    process: Incarnation,
    chance: random.Random,
    clock: ProcessClock,
    ownership: AccountOwnership | None,
) -> Engine:
    """Return the engine of one process; with an ownership it writes and sends under its epoch."""
    http, sockets = VirtualHttp(world, process), VirtualSockets(world, process)
    tokens = FixedToken(TOKEN)
    client = DhanRestClient(RestSettings(ACCOUNT), http, tokens, ownership)
    store = StoreAtRisk(
        world.store_of(None if ownership is None else ownership.epoch),
        process,
        world.store_faults,
        chance,
        coverage=world.coverage,
        now_ns=world.broker_ns,
    )
    settings = EngineSettings(
        ACCOUNT,
        "live",
        policy=ExitPolicy(
            quarantine_seconds=QUARANTINE_SECONDS,
            order_type=OrderType[world.knobs.order_type.upper()],
            attempts_max=world.knobs.attempts_max,
        ),
        kill_switch_watch_seconds=5.0,
    )
    ports = Ports(
        store=store,
        journal=store,
        gateway=GatewayLive(client, gateway_seconds=8.0),
        order_updates=DhanOrderUpdates(
            SocketSettings(ORDER_UPDATE_URL, ACCOUNT), sockets, tokens, clock
        ),
        market_feed=DhanMarketFeed(SocketSettings(FEED_URL, ACCOUNT), sockets, tokens, clock),
        instruments=world,
        calendar=world,
        clock=clock,
        ids=SeededIds(chance),
        chance=chance,
        checkpoints=process,
        ownership=ownership,
        alerts=(world.alerts,),
    )
    return assemble(settings, ports)
