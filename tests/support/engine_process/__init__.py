"""Real processes for tests: `squareoff` commands, each ended by its own pid."""

from engine_process.broker import CLIENT_IDS, BrokerProcess
from engine_process.engine import EngineProcess
from engine_process.waiting import wait_until

__all__ = ["CLIENT_IDS", "BrokerProcess", "EngineProcess", "wait_until"]
