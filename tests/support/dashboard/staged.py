"""The page over an engine that a test plays itself: what it answers, when, and what time it is."""

from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext

from dashboard.page import Dashboard

_FAKE_ENGINE = Path(__file__).with_name("fake_engine.js")
TOKEN = "token-of-a-fake-engine"


class StagedDashboard(Dashboard):
    """A page whose calls reach a fake engine inside it; its clock can be moved."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        page = context.new_page()
        page.clock.install()
        page.add_init_script(path=_FAKE_ENGINE)
        super().__init__(page, url)

    def engine(self, script: str, argument: Any = None) -> Any:
        """Evaluate a function of the fake engine, and of one argument."""
        return self.page.evaluate(f"(argument) => ({script})(window.engine, argument)", argument)

    def hold(self, *symbols: str) -> None:
        """Have it watch a long position of 75 at 100.00 under each of these names."""
        trackers = [_tracker(symbol) for symbol in symbols]
        self.engine("(engine, trackers) => { engine.replica.trackers = trackers; }", trackers)

    def calls(self, path: str) -> list[Any]:
        """Return the calls to a path so far."""
        called: list[Any] = self.engine("({ calls }) => calls")
        return [call for call in called if call["path"] == path]

    def passes(self, milliseconds: int) -> None:
        """Let time pass at once, with all that it brings."""
        self.page.clock.run_for(milliseconds)


def _tracker(symbol: str) -> dict[str, Any]:
    instrument_id = {"exchange_segment": "NSE_FNO", "security_id": symbol}
    return {
        "tracker_id": symbol,
        "instrument": {"instrument_id": instrument_id, "trading_symbol": symbol},
        "product_type": "INTRADAY",
        "side": "LONG",
        "quantity": 75,
        "entry_price": "100.00",
        "rules": {},
        "status": "ACTIVE",
        "created_at": "2026-09-15T09:31:05+05:30",
        "externally_closed_quantity": 0,
        "externally_closed_notional": "0.00",
        "exit_price": None,
        "realized_pnl": None,
        "exit_reason": None,
        "exited_at": None,
        "over_exited_quantity": 0,
        "intent": None,
        "orders": [],
        "version": 1,
    }
