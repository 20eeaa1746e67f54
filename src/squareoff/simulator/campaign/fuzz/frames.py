"""Fuzz of the order stream: whatever the frame, a report says only what the frame says.

The check reads the frame with another JSON parser and shares no code with the adapter.
"""

import json
import random
from typing import Any

from squareoff.adapters.broker.dhan.json_values import Unreadable
from squareoff.adapters.broker.dhan.wire_updates import read_update
from squareoff.domain.orders import OrderReport
from squareoff.simulator.campaign.fuzz.mutations import mutated_bytes, mutated_json
from squareoff.simulator.campaign.fuzz.samples import samples
from squareoff.simulator.campaign.fuzz.tally import FuzzTally


def fuzz_frames(chance: random.Random, count: int, tally: FuzzTally) -> None:
    """Try so many frames."""
    frames = samples().updates
    for _ in range(count):
        sample = chance.choice(frames)
        mutate = mutated_json if chance.random() < 0.6 else mutated_bytes
        _try(mutate(sample, chance), tally)


def _try(frame: bytes, tally: FuzzTally) -> None:
    tally.cases += 1
    try:
        text: str | bytes = frame.decode() if len(frame) % 2 else frame
    except UnicodeDecodeError:
        text = frame
    try:
        report = read_update(text)
    except Unreadable:
        tally.outcomes["refused"] += 1
    except Exception as error:  # noqa: BLE001 - what escapes is what is looked for
        tally.violate(f"{error!r} escaped from {frame[:300]!r}")
    else:
        tally.outcomes["no order" if report is None else "a report"] += 1
        if report is not None and (fault := _fault_of(report, frame)):
            tally.violate(f"{fault}: {frame[:600]!r}")


def _fault_of(report: OrderReport, frame: bytes) -> str:
    """Return what the report says that the frame does not, or an empty text."""
    try:
        content = json.loads(frame)
        data = _by_lower_name(_by_lower_name(content)["data"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "a report from a frame that is no order alert"
    if str(data.get("orderno")).strip() != str(report.broker_order_id):
        return "another order id"
    for name, value in (
        ("quantity", report.order_quantity),
        ("tradedqty", report.cumulative_quantity),
    ):
        raw = data.get(name)
        if raw is None and value == 0:
            continue
        if _number(raw) != value or value < 0:
            return f"another {name}"
    return ""


def _by_lower_name(value: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): item for name, item in value.items()}


def _number(raw: Any) -> float | None:
    try:
        return None if isinstance(raw, bool) else float(raw)
    except (TypeError, ValueError, OverflowError):
        return None
