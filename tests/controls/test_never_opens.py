"""No call but an entry opens or enlarges a position: control T8 of docs/security.md."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_rig import INSTRUMENT, OPERATE_TOKEN, TOKEN, ApiRig

SMUGGLED: list[dict[str, Any]] = [
    {},
    {"quantity": 10_000},
    {"side": "SHORT"},
    {"order_quantity": -75},
    {"transactionType": "BUY"},
]
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "exit": ("POST", "/trackers/{id}/exit", {"reason": "x", "wait": "claimed"}),
    "exit filled": ("POST", "/trackers/{id}/exit", {"reason": "x", "wait": "filled"}),
    "exit all": ("POST", "/exit-all", {"reason": "x"}),
    "withdraw": ("POST", "/trackers/{id}/withdraw", {"reason": "x", "wait_seconds": 0}),
    "untrack": ("POST", "/trackers/{id}/untrack", {"reason": "x"}),
    "resolve": ("POST", "/trackers/{id}/resolve-over-exit", {"reason": "x"}),
    "rules": ("PATCH", "/trackers/{id}", {"rules": {"target": {"points": "0.05"}}}),
    "halt": ("POST", "/kill-switch", {"active": True, "level": "all", "reason": "x"}),
    "resume": ("POST", "/kill-switch", {"active": False, "reason": "x"}),
    "reconcile": ("POST", "/reconcile", {}),
}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(sorted(CALLS)),
        st.sampled_from(range(len(SMUGGLED))),
        st.sampled_from([TOKEN, OPERATE_TOKEN]),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def desk_of_its_own() -> Iterator[ApiRig]:
    """Give an engine that only this test has positions at."""
    with ApiRig() as running:
        yield running


def net(rig: ApiRig) -> int:
    """Return what the broker holds of the instrument."""
    positions = rig.run(rig.engine.desk._reads.positions()).rows
    assert positions is not None
    held = [p for p in positions if p.instrument_id == INSTRUMENT.instrument_id]
    return sum(position.net_quantity for position in held)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_t08_no_sequence_of_calls_raises_what_is_held(
    steps: list[tuple[str, int, str]], desk_of_its_own: ApiRig
) -> None:
    """Whatever is called, by whom and with which fields smuggled in: the net goes toward zero."""
    rig = desk_of_its_own
    rig.post("/kill-switch", {"active": False, "reason": "begin"})
    mine = rig.track()
    held = net(rig)
    assert held > 0
    for name, extra, token in steps:
        method, path, body = CALLS[name]
        path = f"/api/v1{path.format(id=mine)}"
        answer = rig.call(
            method, path, body | SMUGGLED[extra], headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status < 500
        if SMUGGLED[extra]:
            assert answer.status in (403, 422)
        now = net(rig)
        assert 0 <= now <= held, (name, held, now)
        held = now


def test_t08_an_entry_needs_admin_and_no_halt(desk_of_its_own: ApiRig) -> None:
    """The one call that opens a position is closed to the role operate, and under a halt to all."""
    rig = desk_of_its_own
    entry = {
        "exchange_segment": "NSE_FNO", "security_id": "49081", "product_type": "INTRADAY",
        "side": "LONG", "quantity": 25, "order_type": "LIMIT", "limit_price": "100.00",
    }  # fmt: skip
    low = rig.post("/entries", entry, headers={"Authorization": f"Bearer {OPERATE_TOKEN}"})
    rig.post("/kill-switch", {"active": True, "reason": "halt"})
    halted = rig.post("/entries", entry)
    rig.post("/kill-switch", {"active": False, "reason": "go on"})

    assert (low.status, low.error["code"]) == (403, "role_too_low")
    assert (halted.status, halted.error["code"]) == (409, "halted")
