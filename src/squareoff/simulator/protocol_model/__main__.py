"""`python -m squareoff.simulator.protocol_model`: explore, and print what was found.

`--budget NAME` chooses the world (default `full`); `--variant NAME` a broken engine, in its own
world unless a budget is named; `--variants` tries all of them; `--json` prints one JSON object.
Exit status 1 where the sound protocol breaks a rule, or a broken engine breaks none.
"""

import argparse
import json
import resource
import sys
from typing import Any

from squareoff.simulator.protocol_model.budgets import BUDGETS, Budget
from squareoff.simulator.protocol_model.exploration import Exploration, explore
from squareoff.simulator.protocol_model.protocol import Protocol
from squareoff.simulator.protocol_model.rules import SENTENCES
from squareoff.simulator.protocol_model.variants import VARIANTS, Shortcut


def main(arguments: list[str]) -> int:
    """Explore what the command line names; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m squareoff.simulator.protocol_model")
    parser.add_argument("--budget", choices=BUDGETS, help="the world to explore; default full")
    parser.add_argument("--variant", choices=VARIANTS, help="a broken engine that must be caught")
    parser.add_argument("--variants", action="store_true", help="try every broken engine")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    names = list(VARIANTS) if options.variants else [options.variant]
    is_good = True
    for name in names:
        budget = _budget(options.budget, name)
        shortcut = Shortcut.SOUND if name is None else Shortcut(name)
        before = _processor_seconds()
        found = explore(Protocol(budget, shortcut))
        seconds = _processor_seconds() - before
        is_good &= bool(found.violations) is (name is not None)
        if options.json:
            print(json.dumps(_as_json(name, found, seconds)))
        else:
            print(_as_text(name, found, seconds))
    return 0 if is_good else 1


def _budget(budget: str | None, variant: str | None) -> Budget:
    if budget is None and variant is not None:
        return VARIANTS[variant].budget
    return BUDGETS[budget or "full"]


def _processor_seconds() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def _as_json(name: str | None, found: Exploration, seconds: float) -> dict[str, Any]:
    return {
        "variant": name or Shortcut.SOUND.value,
        "states": found.states,
        "transitions": found.transitions,
        "depth": found.depth,
        "ends": found.ends,
        "is_complete": found.is_complete,
        "processor_seconds": round(seconds, 2),
        "memory_mib_max": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "violations": [
            {"rule": each.rule.name.lower(), "text": SENTENCES[each.rule], "trace": each.trace}
            for each in found.violations
        ],
    }


def _as_text(name: str | None, found: Exploration, seconds: float) -> str:
    head = (
        f"{name or Shortcut.SOUND.value}: {found.states:,} states, {found.transitions:,} "
        f"transitions, depth {found.depth}, {found.ends:,} ends, {seconds:.1f} s of processor, "
        f"{'explored to the end' if found.is_complete else 'stopped at the first broken rule'}"
    )
    if name is not None:
        head = f"{VARIANTS[name].sentence}\n{head}"
    if not found.violations:
        return f"{head}\nno violation, no stuck state"
    return "\n".join([head, *(violation.text() for violation in found.violations)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
