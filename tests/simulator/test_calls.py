"""One recognised REST call."""

import random
from typing import Any

from squareoff.simulator.calls import Call
from squareoff.simulator.faults import NO_FAULT, FaultPlan, FaultPoint, parse_rules
from squareoff.simulator.wire import WireRequest


def test_a_fault_s_lag_wins_over_the_conduct_s(bench: Any) -> None:
    """Reads lag as the rule says where there is one, else as the knob says."""
    plan = FaultPlan(random.Random(1))
    plan.add(parse_rules({"what": {"lag_ms": 5}}), 0)
    decision = plan.decide(FaultPoint("GET", "/orders"), 0)

    def lag(decided: Any) -> int:
        request = WireRequest("GET", "/orders")
        call = Call(bench.broker, bench.broker.account(), request, bench.now, decided)
        return call.lag_ns((3.0, 3.0))

    assert (lag(decision), lag(NO_FAULT)) == (5_000_000, 3_000_000)
