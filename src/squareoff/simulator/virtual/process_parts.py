"""The parts of one process: the real engine over the ports of its virtual life."""

import random
from decimal import Decimal

from squareoff.adapters.broker.dhan.clock_readings import ClockReadings
from squareoff.adapters.broker.dhan.credentials import FixedToken
from squareoff.adapters.broker.dhan.market_feed import DhanMarketFeed
from squareoff.adapters.broker.dhan.order_updates import DhanOrderUpdates
from squareoff.adapters.broker.dhan.rest import DhanRestClient, RestSettings
from squareoff.adapters.broker.dhan.session_calls import SessionCalls
from squareoff.adapters.broker.dhan.socket_session import SocketSettings
from squareoff.adapters.broker.dhan.token_keeper import TokenKeeper
from squareoff.assembly import Engine, EngineSettings, Ports, assemble
from squareoff.core.state.policy import ExitPolicy
from squareoff.domain.account_rules import NO_ACCOUNT_RULES, AccountRules
from squareoff.domain.orders import OrderType
from squareoff.services.account.account_ownership import AccountOwnership
from squareoff.services.orders.gateway import GatewayLive
from squareoff.simulator.virtual.incarnation import Incarnation, ProcessClock, SeededIds
from squareoff.simulator.virtual.network import (
    FEED_URL,
    ORDER_UPDATE_URL,
    VirtualHttp,
    VirtualSockets,
)
from squareoff.simulator.virtual.store_at_risk import StoreAtRisk
from squareoff.simulator.virtual.virtual_ownership import LonelyFence
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
    keeper = _keeper(world, http, clock)
    tokens = FixedToken(TOKEN) if keeper is None else keeper
    fence = LonelyFence(clock) if ownership is None else ownership
    timed = ClockReadings(http, clock)
    client = DhanRestClient(RestSettings(ACCOUNT), timed, tokens, fence)
    store = StoreAtRisk(
        world.store_of(None if ownership is None else ownership.epoch),
        process,
        world.store_faults,
        chance,
        coverage=world.coverage,
        strike=world.strike_engine,
        now_ns=world.broker_ns,
    )
    settings = EngineSettings(
        ACCOUNT,
        "live",
        policy=ExitPolicy(
            quarantine_seconds=QUARANTINE_SECONDS,
            order_type=OrderType[world.knobs.order_type.upper()],
            attempts_max=world.knobs.attempts_max,
            flatten_over_exit=world.knobs.takes_back,
        ),
        account_rules=_account_rules(world),
    )
    feed = DhanMarketFeed(SocketSettings(FEED_URL, ACCOUNT), sockets, tokens, clock)
    ports = Ports(
        store=store,
        journal=store,
        gateway=GatewayLive(client, gateway_seconds=8.0),
        order_updates=DhanOrderUpdates(
            SocketSettings(ORDER_UPDATE_URL, ACCOUNT), sockets, tokens, clock
        ),
        market_feed=feed,
        quiet_feed=feed,
        instruments=world,
        calendar=world,
        clock=clock,
        ids=SeededIds(chance),
        chance=chance,
        checkpoints=process,
        ownership=ownership,
        session=keeper,
        alerts=(world.alerts,),
        broker_time=timed,
    )
    return assemble(settings, ports)


def _account_rules(world: World) -> AccountRules:
    loss = world.knobs.account_max_loss
    return AccountRules(max_loss=Decimal(loss)) if loss else NO_ACCOUNT_RULES


def _keeper(world: World, http: VirtualHttp, clock: ProcessClock) -> TokenKeeper | None:
    """Return the keeper of the token where the run has a token file."""
    file = world.token_file
    if file is None:
        return None
    return TokenKeeper(file.read_at_start(), SessionCalls(ACCOUNT, http), clock, file=file)
