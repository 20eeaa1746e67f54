"""Write the report of a soak: docs/evidence/soak.md and soak.json."""

from pathlib import Path

from squareoff.domain.time import Now
from squareoff.simulator.rehearsal.evidence import headed, origin, table, write_report
from squareoff.simulator.soak.driving import SoakRecord
from squareoff.simulator.soak.judging import Verdict


def report_soak(record: SoakRecord, verdict: Verdict, folder: Path, now: Now) -> Path:
    """Write the report and return its path."""
    plan = record.plan
    made = origin(now)
    rows = [
        f"`make soak` ran `squareoff run` against a simulated broker for {plan.seconds:.0f} s: "
        f"{plan.positions} positions, {plan.rate:,} packets a second with bursts of "
        f"{plan.burst_rate:,}, a fault every {plan.fault_every:.0f} s, and an exit every "
        f"{plan.fire_every:g} s.",
        "Its prints and faults are noted by the feed itself; the engine is judged by that record, "
        "by the broker's ledger and by its own database.",
    ]
    lines = headed("Soak", made, rows)
    lines += ["## Promises", ""]
    lines += [f"- broken: {text}" for text in verdict.broken] or ["- none was broken"]
    lines += ["", "## Figures", "", *table(("figure", ""), verdict.figures.items()), ""]
    lines += [f"- missed: {text}" for text in verdict.missed] or ["- none missed its bound"]
    faults: dict[str, int] = {}
    for _, fault in record.faults:
        faults[fault] = faults.get(fault, 0) + 1
    lines += ["", "## Faults", "", *table(("fault", "times"), faults.items())]
    values = {
        **made,
        "broken": verdict.broken,
        "missed": verdict.missed,
        "figures": verdict.figures,
        "faults": faults,
        "complaints": record.complaints[:100],
        "resident_bytes": [[round(s.seconds), s.resident_bytes] for s in record.samples],
    }
    return write_report(folder, "soak", lines, values)
