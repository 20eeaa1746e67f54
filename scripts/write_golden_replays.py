"""Write the exits of tests/golden/replays anew, each only where the plain evaluator agrees.

Run it with tests/support on the path: `PYTHONPATH=tests/support python scripts/...`. Read the
difference before committing it: a golden file that changed is a change of what the engine does.
"""

import json
import sys

from golden_replays.scenario import (
    GOLDEN_FOLDER,
    differences,
    load_scenario,
    replayed,
    scenario_names,
)


def main() -> int:
    """Write every file; return how many were not written."""
    refused = 0
    for name in scenario_names():
        scenario = load_scenario(name)
        exits = replayed(scenario)
        wrong = differences(scenario, exits)
        print(f"{name}: {len(exits)} positions, {len(wrong)} differences")
        for line in wrong:
            print(f"  {line}")
        if wrong:
            refused += 1
            continue
        text = json.dumps({**scenario, "exits": exits}, indent=1)
        (GOLDEN_FOLDER / f"{name}.json").write_text(f"{text}\n")
    return refused


if __name__ == "__main__":
    sys.exit(main())
