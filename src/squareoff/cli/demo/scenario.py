"""What the demo holds: eleven positions on recorded prices, and the one rule that ends each.

Entry prices were really traded that day: the first recorded price, the day's low so far, or a price
of the morning. Levels are chosen from the recordings so that each fires at one known print:
`fires_at` is that print's price and `market_seconds` its place, counted from the start of the
replay. docs/demo.md tells the price paths; tests walk them again.
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
FUTURE_DAY_LOW = Decimal("25972.40")
FUTURE_MORNING_PRICE = Decimal("26045.00")
EQUITY_FIRST_PRICE = Decimal("1540.30")

EQUITY_QUANTITY_PER_PRINT = 400
"""What one print of the equity offers on each side: 900 shares need three prints."""


@dataclass(frozen=True, slots=True)
class Holding:
    """An instrument held under one product: one net position at the broker."""

    label: str
    exchange_segment: str
    security_id: str
    product_type: str


FUTURE_INTRADAY = Holding("NIFTY Dec FUT", "NSE_FNO", "49543", "INTRADAY")
FUTURE_MARGIN = Holding("NIFTY Dec FUT", "NSE_FNO", "49543", "MARGIN")
EQUITY_INTRADAY = Holding("RELIANCE", "NSE_EQ", "2885", "INTRADAY")
EQUITY_DELIVERY = Holding("RELIANCE", "NSE_EQ", "2885", "CNC")


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
    entry_price: Decimal
    rule: str
    market_seconds: float
    fires_at: Decimal | None = None
    rules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sign(self) -> int:
        """1 for a long position, -1 for a short one."""
        return 1 if self.side == "LONG" else -1

    @property
    def exit_side(self) -> str:
        """The side of the orders that close it."""
        return "SELL" if self.side == "LONG" else "BUY"


SLICED = DemoPosition(
    "sliced", FUTURE_INTRADAY, "LONG", 3675, FUTURE_DAY_LOW,
    "target", 14.3, Decimal("25980.00"),
    {"target": {"price": "25980.00"}, "stop_loss": {"points": "40"}},
)  # fmt: skip
SHORT_STOP = DemoPosition(
    "short-stop", EQUITY_INTRADAY, "SHORT", 250, EQUITY_FIRST_PRICE,
    "stop_loss", 30.0, Decimal("1542.50"),
    {"stop_loss": {"price": "1542.00"}, "target": {"points": "20"}},
)  # fmt: skip
PARTIAL = DemoPosition(
    "partial", EQUITY_DELIVERY, "LONG", 900, EQUITY_FIRST_PRICE,
    "target", 30.0, Decimal("1542.50"),
    {"target": {"price": "1542.00"}, "stop_loss": {"percent": "2"}},
)  # fmt: skip
LONG_STOP = DemoPosition(
    "long-stop", FUTURE_INTRADAY, "LONG", 225, FUTURE_FIRST_PRICE,
    "stop_loss", 87.2, Decimal("25974.20"),
    {"stop_loss": {"price": "25974.40"}},
)  # fmt: skip
LOST_ANSWER = DemoPosition(
    "lost-answer", EQUITY_INTRADAY, "SHORT", 400, EQUITY_FIRST_PRICE,
    "target", 90.0, Decimal("1537.10"),
    {"target": {"price": "1537.50"}},
)  # fmt: skip
SHORT_TRAIL = DemoPosition(
    "short-trail", FUTURE_MARGIN, "SHORT", 300, FUTURE_MORNING_PRICE,
    "trailing", 102.0, Decimal("25979.70"),
    {"trailing": {"points": "5.5"}},
)  # fmt: skip
KILLED = DemoPosition(
    "killed", FUTURE_INTRADAY, "LONG", 150, FUTURE_DAY_LOW,
    "trailing", 140.6, Decimal("25974.00"),
    {"trailing": {"points": "6"}},
)  # fmt: skip
BY_CLOCK = DemoPosition(
    "by-clock", FUTURE_MARGIN, "SHORT", 375, FUTURE_MORNING_PRICE,
    "square_off_at", 176.0,
)  # fmt: skip
BY_HAND = DemoPosition(
    "by-hand", EQUITY_INTRADAY, "SHORT", 350, EQUITY_FIRST_PRICE,
    "manual", 190.0,
    rules={"stop_loss": {"percent": "3"}},
)  # fmt: skip
LATE_STOP = DemoPosition(
    "late-stop", EQUITY_DELIVERY, "LONG", 300, EQUITY_FIRST_PRICE,
    "stop_loss", 210.0, Decimal("1533.00"),
    {"stop_loss": {"price": "1533.50"}},
)  # fmt: skip
SHORT_TARGET = DemoPosition(
    "short-target", FUTURE_MARGIN, "SHORT", 450, FUTURE_MORNING_PRICE,
    "target", 232.0, Decimal("25972.00"),
    {"target": {"price": "25972.00"}, "stop_loss": {"price": "26100.00"}},
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
