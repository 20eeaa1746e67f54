"""How much may go wrong in one exploration: the budgets, by name.

Every budget is explored to the end; none is cut off.
"""

from dataclasses import dataclass

from squareoff.simulator.protocol_model import layout as at


@dataclass(frozen=True, slots=True)
class Budget:
    """What one exploration may contain.

    `quantity` units are held; an order takes at most `freeze_quantity`; at most `orders` orders and
    `modifications` modifies per order are made before the order is cancelled or a person called.
    The rest counts faults and doings of people: how often each may happen in one run, and `total`
    how many may in all; None for no limit beyond their own.
    """

    quantity: int = 2
    freeze_quantity: int = 3
    orders: int = 2
    modifications: int = 0
    crash: int = 0
    pause: int = 0
    drop: int = 0
    delay: int = 0
    cancel: int = 0
    reject: int = 0
    rest: int = 0
    external: int = 0
    kill: int = 0
    outlaw: int = 0
    total: int | None = None

    def __post_init__(self) -> None:
        """An order that rests must be movable, or its exit could not end."""
        assert self.modifications or not self.rest, "resting orders need modifications"

    def first_state(self) -> bytes:
        """Return the state in which everything begins: held, unclaimed, engine 0 owns."""
        header = bytearray(at.HEADER)
        header[at.MODES] = at.OWNING
        header[at.MODES + 1] = at.STANDBY
        header[at.REPLICA_NET] = at.NET_ZERO + self.quantity
        for place, name in enumerate(at.BUDGET_NAMES, start=at.BUDGETS):
            header[place] = getattr(self, name)
        counts = header[at.BUDGETS :]
        header[at.TOTAL] = sum(counts) if self.total is None else self.total
        return bytes(header) + bytes(at.ORDER * self.orders)


_BY_PEOPLE_AND_PROCESSES = {"crash": 2, "pause": 1, "external": 1, "kill": 1}
_BY_NETWORK_AND_BROKER = {"drop": 2, "delay": 1, "cancel": 1, "reject": 1}
_FAULTS = {**_BY_PEOPLE_AND_PROCESSES, **_BY_NETWORK_AND_BROKER}
_CHASE = {"modifications": 1, "rest": 1}

BUDGETS: dict[str, Budget] = {
    "small": Budget(crash=1, drop=1, delay=1, cancel=1),
    "pairs": Budget(total=2, **_CHASE, **_FAULTS),
    "full": Budget(total=3, **_CHASE, **_FAULTS),
    "slices": Budget(freeze_quantity=1, orders=3, total=1, **_CHASE, **_FAULTS),
    "three": Budget(quantity=3, freeze_quantity=2, orders=3, total=1, **_FAULTS),
    "outlaw": Budget(outlaw=1, total=2, **_FAULTS),
}
"""`pairs` and `full` hold every combination of two and of three faults and doings of people, each
as often as its budget says; `outlaw` allows one thing beyond the bound among two."""
