"""What the demo holds: eleven positions on recorded prices, and the one rule that ends each.

Every position was opened at the first recorded price. Levels are chosen from the recordings so that
each fires at one known print: `fires_at` is that print's price and `market_seconds` its place,
counted from the start of the replay. docs/demo.md tells the price paths; tests walk them again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

RECORDINGS_FOLDER = Path(__file__).parent / "recordings"
FUTURE_RECORDING = "nifty-fut-2025-12-29-1247-depth5.csv"
EQUITY_RECORDING = "reliance-eq-2025-12-09-0915-1min.csv"

FUTURE_FIRST_PRICE = Decimal("25977.80")
EQUITY_FIRST_PRICE = Decimal("1540.30")

EQUITY_QUANTITY_PER_PRINT = 400
"""What one print of the equity offers on each side: 900 shares need three prints."""

FEED_GAP_SECONDS = 15.0
"""Market seconds between two equity prints; at the default speed well below the stale age."""


@dataclass(frozen=True, slots=True)
class Holding:
    """An instrument held under one product: one net position at the broker."""

    label: str
    exchange_segment: str
    security_id: str
    product_type: str
    entry_price: Decimal


FUTURE_INTRADAY = Holding("NIFTY Dec FUT", "NSE_FNO", "49543", "INTRADAY", FUTURE_FIRST_PRICE)
FUTURE_MARGIN = Holding("NIFTY Dec FUT", "NSE_FNO", "49543", "MARGIN", FUTURE_FIRST_PRICE)
EQUITY_INTRADAY = Holding("RELIANCE", "NSE_EQ", "2885", "INTRADAY", EQUITY_FIRST_PRICE)
EQUITY_DELIVERY = Holding("RELIANCE", "NSE_EQ", "2885", "CNC", EQUITY_FIRST_PRICE)


@dataclass(frozen=True, slots=True)
class DemoPosition:
    """One position: `side` LONG or SHORT, `quantity` in units, `rules` as the API takes them.

    `rule` is the rule that must end it; `fires_at` the recorded price that fires it, None where
    no price does; `market_seconds` when, counted in the replay.
    """

    name: str
    holding: Holding
    side: str
    quantity: int
    rule: str
    market_seconds: float
    fires_at: Decimal | None = None
    rules: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""

    @property
    def sign(self) -> int:
        """1 for a long position, -1 for a short one."""
        return 1 if self.side == "LONG" else -1

    @property
    def exit_side(self) -> str:
        """The side of the orders that close it."""
        return "SELL" if self.side == "LONG" else "BUY"


SLICED = DemoPosition(
    "sliced", FUTURE_INTRADAY, "LONG", 3675, "target", 14.3, Decimal("25980.00"),
    {"target": {"price": "25980.00"}, "stop_loss": {"points": "40"}},
    "over the freeze quantity of 1800: three slices",
)  # fmt: skip
SHORT_STOP = DemoPosition(
    "short-stop", EQUITY_INTRADAY, "SHORT", 250, "stop_loss", 30.0, Decimal("1542.50"),
    {"stop_loss": {"price": "1542.00"}, "target": {"points": "20"}},
)  # fmt: skip
PARTIAL = DemoPosition(
    "partial", EQUITY_DELIVERY, "LONG", 900, "target", 30.0, Decimal("1542.50"),
    {"target": {"price": "1542.00"}, "stop_loss": {"percent": "2"}},
    "filled in parts: a print offers 400",
)  # fmt: skip
LONG_STOP = DemoPosition(
    "long-stop", FUTURE_INTRADAY, "LONG", 225, "stop_loss", 87.2, Decimal("25974.20"),
    {"stop_loss": {"price": "25974.40"}},
)  # fmt: skip
LOST_ANSWER = DemoPosition(
    "lost-answer", EQUITY_INTRADAY, "SHORT", 400, "target", 90.0, Decimal("1537.10"),
    {"target": {"price": "1537.50"}},
    "the broker's answer and its updates are lost",
)  # fmt: skip
SHORT_TRAIL = DemoPosition(
    "short-trail", FUTURE_MARGIN, "SHORT", 300, "trailing", 102.0, Decimal("25979.70"),
    {"trailing": {"points": "5.5"}},
)  # fmt: skip
KILLED = DemoPosition(
    "killed", FUTURE_INTRADAY, "LONG", 150, "trailing", 140.6, Decimal("25974.00"),
    {"trailing": {"points": "6"}},
    "the engine is killed in the middle",
)  # fmt: skip
BY_CLOCK = DemoPosition(
    "by-clock", FUTURE_MARGIN, "SHORT", 375, "square_off_at", 176.0,
)  # fmt: skip
BY_HAND = DemoPosition(
    "by-hand", EQUITY_INTRADAY, "SHORT", 350, "manual", 190.0,
    rules={"stop_loss": {"percent": "3"}},
)  # fmt: skip
LATE_STOP = DemoPosition(
    "late-stop", EQUITY_DELIVERY, "LONG", 300, "stop_loss", 210.0, Decimal("1533.00"),
    {"stop_loss": {"price": "1533.50"}},
)  # fmt: skip
SHORT_TARGET = DemoPosition(
    "short-target", FUTURE_MARGIN, "SHORT", 450, "target", 232.0, Decimal("25972.00"),
    {"target": {"price": "25972.00"}, "stop_loss": {"points": "40"}},
)  # fmt: skip

POSITIONS = (
    SLICED, SHORT_STOP, PARTIAL, LONG_STOP, LOST_ANSWER, SHORT_TRAIL, KILLED, BY_CLOCK, BY_HAND,
    LATE_STOP, SHORT_TARGET,
)  # fmt: skip
"""In the order in which they fire."""


def faults() -> list[dict[str, Any]]:
    """Return the fault rules for the simulator: one answer lost, one held back for the kill."""
    lost = {
        "securityId": LOST_ANSWER.holding.security_id,
        "quantity": LOST_ANSWER.quantity,
        "transactionType": LOST_ANSWER.exit_side,
    }
    killed = {
        "securityId": KILLED.holding.security_id,
        "quantity": KILLED.quantity,
        "transactionType": KILLED.exit_side,
    }
    order = {"method": "POST", "path": "/orders"}
    return [
        {
            "id": "lost-answer",
            "where": order | {"match": lost},
            "what": {"drop_after": True},
            "how_often": {"times": 1},
        },
        {
            "id": "lost-updates",
            "where": {"socket": "order_update", "match": lost},
            "what": {"drop": True},
        },
        {
            "id": HELD_ANSWER,
            "where": order | {"match": killed},
            "what": {"answer_delay_ms": HELD_ANSWER_MS},
            "how_often": {"times": 1},
        },
    ]


HELD_ANSWER = "held-answer"
HELD_ANSWER_MS = 2_500
"""Below the engine's own limit of 3 s for an order write: it must still be waiting when it dies."""
