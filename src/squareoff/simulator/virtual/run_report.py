"""What one run showed."""

from collections import Counter
from dataclasses import dataclass, field

from squareoff.simulator.virtual.knobs import Knobs
from squareoff.simulator.virtual.trace import Trace


@dataclass(slots=True)
class RunReport:
    """What one run showed. `violations` is empty for a good run."""

    seed: int
    knobs: Knobs
    violations: list[str] = field(default_factory=list)
    trace_hash: str = ""
    trace: Trace = field(default_factory=Trace)
    exits: int = 0
    cancelled: int = 0
    claims: int = 0
    crashes: list[str] = field(default_factory=list)
    defects: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    points: dict[str, int] = field(default_factory=dict)
    point_count: int = 0
    orders: int = 0
    virtual_seconds: float = 0.0
    callbacks: int = 0

    @property
    def is_good(self) -> bool:
        """Say whether nothing was violated."""
        return not self.violations

    def summary(self) -> str:
        """Return one line, and one more per violation."""
        hits = " ".join(f"{name}:{count}" for name, count in sorted(self.faults.items()))
        head = (
            f"seed {self.seed}: {'ok' if self.is_good else 'VIOLATED'}, {self.claims} claims, "
            f"{self.exits} exits, {self.orders} orders, {len(self.crashes)} crashes, "
            f"{self.virtual_seconds:.1f} virtual s, {self.callbacks} callbacks, "
            f"trace {self.trace_hash[:16]}, faults [{hits}]"
        )
        return "\n".join([head, *(f"  {line}" for line in self.violations)])
