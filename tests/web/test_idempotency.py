"""A repeated call under one key acts once, answers alike, and is refused with another body."""

import threading
from typing import Any

import pytest

from api_rig import Answer, ApiRig, position_body
from squareoff.domain.errors import StoreUnavailable
from squareoff.ports import RememberedAnswer

ENTRY = {
    "exchange_segment": "NSE_FNO", "security_id": "49081", "product_type": "INTRADAY",
    "side": "LONG", "quantity": 25, "order_type": "LIMIT", "limit_price": "100.00",
}  # fmt: skip


def count(rig: ApiRig) -> int:
    """Return how many trackers there are."""
    return len(rig.get("/trackers").json["items"])


@pytest.mark.parametrize(("path", "body"), [("/trackers", position_body()), ("/entries", ENTRY)])
def test_a_repeat_gets_the_first_answer(path: str, body: dict[str, Any], rig: ApiRig) -> None:
    """Same key, same body: the stored answer byte for byte, and one tracker."""
    before, key = count(rig), {"Idempotency-Key": f"repeat{path}"}
    first = rig.post(path, body, headers=key)
    # Key order and spacing of the JSON make no other body.
    again = rig.post(path, dict(reversed(body.items())), headers=key)

    assert (first.status, again.status) == (201, 201)
    assert first.text == again.text
    assert count(rig) == before + 1


def test_without_a_key_every_call_acts(rig: ApiRig) -> None:
    """Two calls without a key are two wishes."""
    before = count(rig)
    rig.post("/trackers", position_body())
    rig.post("/trackers", position_body())

    assert count(rig) == before + 2


def test_a_key_with_another_body_is_refused(rig: ApiRig) -> None:
    """Same key, other body or other call: 422 and nothing is changed."""
    key = {"Idempotency-Key": "other-body"}
    rig.post("/trackers", position_body(), headers=key)
    before = count(rig)
    other_body = rig.post("/trackers", position_body(quantity=50), headers=key)
    other_call = rig.post("/entries", ENTRY, headers=key)

    for answer in (other_body, other_call):
        assert (answer.status, answer.error["code"]) == (422, "idempotency_key_reused")
        assert answer.error["details"]["field"] == "Idempotency-Key"
    assert count(rig) == before


def test_simultaneous_repeats_act_once(rig: ApiRig) -> None:
    """Twenty calls with one key at the same instant make one tracker and one answer."""
    before, start = count(rig), threading.Barrier(20)
    answers: list[Answer] = []

    def call() -> None:
        start.wait()
        answers.append(
            rig.post("/trackers", position_body(), headers={"Idempotency-Key": "at-once"})
        )

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.text for answer in answers} == {answers[0].text}
    assert (len(answers), answers[0].status) == (20, 201)
    assert count(rig) == before + 1


def test_a_refused_call_may_be_made_again(rig: ApiRig) -> None:
    """A refusal is not remembered: the same key serves the mended body."""
    key = {"Idempotency-Key": "mended"}
    refused = rig.post("/trackers", position_body(quantity=1), headers=key)
    mended = rig.post("/trackers", position_body(), headers=key)

    assert (refused.status, mended.status) == (422, 201)


def test_a_repeat_after_a_crash_finds_what_was_made(
    rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the answer was lost between the act and its storing, a repeat makes nothing anew."""
    key, store = {"Idempotency-Key": "crash"}, rig.engine.desk._store

    async def lose(_key: str, _answer: RememberedAnswer, _at_ns: int) -> None:
        raise RuntimeError("as if the process had died here")

    with monkeypatch.context() as patch:
        patch.setattr(store, "remember_answer", lose)
        lost = rig.post("/trackers", position_body(), headers=key)
    before = count(rig)
    again = rig.post("/trackers", position_body(), headers=key)

    assert (lost.status, lost.error["code"]) == (500, "internal_error")
    assert again.status == 201
    assert count(rig) == before


async def unreadable(_key: str) -> RememberedAnswer | None:
    """Be a database that is away for the reading of a key, and back right after."""
    raise StoreUnavailable("away")


def test_a_repeat_whose_key_cannot_be_read_undoes_nothing(
    rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody else set since stays: rules, and a switch that was thrown."""
    path, store = f"/trackers/{rig.track()}", rig.engine.desk._store
    release = {"active": False, "reason": "fine"}
    calls: list[tuple[str, str, Any]] = [
        ("PATCH", f"/api/v1{path}", {"rules": {"stop_loss": {"price": "90.00"}}}),
        ("POST", "/api/v1/kill-switch", release),
    ]

    def ask() -> list[int]:
        return [
            rig.call(*call, headers={"Idempotency-Key": f"away-{place}"}).status
            for place, call in enumerate(calls)
        ]

    assert ask() == [200, 200]
    rig.patch(path, {"rules": {"stop_loss": {"price": "95.00"}}})
    rig.post("/kill-switch", {"active": True, "level": "all", "reason": "stop"})
    with monkeypatch.context() as patch:
        patch.setattr(store, "recall_answer", unreadable)
        repeated = ask()
    rules, switch = rig.get(path).json["rules"], rig.get("/kill-switch").json
    rig.post("/kill-switch", release)

    assert repeated == [503, 503]
    assert rules["stop_loss"] == {"price": "95.00"}
    assert switch["active"]


def test_a_repeat_undoes_nothing_though_the_first_answer_was_not_stored(
    rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch was released, its answer met a failing database, and somebody halted since."""
    key, store = {"Idempotency-Key": "unstored"}, rig.engine.desk._store
    release = {"active": False, "reason": "fine"}

    async def refuse(_key: str, _answer: RememberedAnswer, _at_ns: int) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(store, "remember_answer", refuse)
        first = rig.post("/kill-switch", release, headers=key)
        halt = {"active": True, "level": "all", "reason": "stop"}
        assert rig.post("/kill-switch", halt).status == 200
        repeated = [rig.post("/kill-switch", release, headers=key)]
    repeated += [rig.post("/kill-switch", release, headers=key)]
    switch, stored = rig.get("/kill-switch").json, rig.run(store.recall_answer("unstored"))
    rig.post("/kill-switch", release)

    assert [each.json for each in repeated] == [first.json] * 2
    assert switch["active"]
    assert stored is not None


def test_a_key_that_cannot_be_read_keeps_nothing_from_closing_or_halting(
    rig: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These may be carried out again, so they wait for no database."""
    path, store = f"/trackers/{rig.track()}/exit", rig.engine.desk._store
    with monkeypatch.context() as patch:
        patch.setattr(store, "recall_answer", unreadable)
        closed = rig.post(
            path, {"reason": "x", "wait": "claimed"}, headers={"Idempotency-Key": "away-exit"}
        )
        halted = rig.post(
            "/kill-switch",
            {"active": True, "reason": "stop"},
            headers={"Idempotency-Key": "away-halt"},
        )
    rig.post("/kill-switch", {"active": False, "reason": "fine"})

    assert closed.status < 300
    assert halted.status == 200


@pytest.mark.parametrize("key", ["x" * 201, " ", "a\u00a0b"])
def test_an_unusable_key_is_refused(key: str, rig: ApiRig) -> None:
    """A key is short and printable; another is refused by its name."""
    answer = rig.post("/trackers", position_body(), headers={"Idempotency-Key": key})

    assert (answer.status, answer.error["details"]["field"]) == (422, "Idempotency-Key")
