"""What a command may do, once, and who is told: controls T8 to T11 and T20 of docs/security.md."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from api_rig import OPERATE_TOKEN, TOKEN, ApiRig, position_body
from squareoff.web.error_shape import ApiError
from squareoff.web.preview_tickets import EXIT_ALL, VALID_SECONDS, PreviewTickets, Shown
from squareoff.web.rate_limits import FREE_FAILURES, USUAL_LIMITS, ApiLimits, FailureDelays
from squareoff.web.roles import Caller, Role

REPEATS = 1_000


def test_t09_a_thousand_repeats_are_one_exit(rig: ApiRig) -> None:
    """The same exit under one key, a thousand times from twenty threads: one claim, one answer."""
    mine = rig.track()
    start = threading.Barrier(20)

    def call(number: int) -> str:
        if number < 20:
            start.wait()
        body = {"reason": "repeated", "wait": "filled"}
        return rig.post(f"/trackers/{mine}/exit", body, headers={"Idempotency-Key": "1000"}).text

    with ThreadPoolExecutor(20) as pool:
        answers = set(pool.map(call, range(REPEATS)))
    facts = [f["kind"] for f in rig.get(f"/trackers/{mine}/journal").json["items"]]
    asked = [f for f in rig.get("/journal").json["items"] if f["data"].get("key") == "1000"]

    assert len(answers) == 1
    assert (facts.count("exit_claimed"), len(asked)) == (1, 1)


@pytest.mark.parametrize(
    ("path", "body", "other"),
    [
        ("/kill-switch", {"active": True, "reason": "a"}, {"active": True, "reason": "b"}),
        ("/exit-all", {"reason": "a"}, {"reason": "b"}),
        ("/reconcile", {}, {"x": 1}),
    ],
)
def test_t09_a_key_serves_every_change(
    path: str, body: dict[str, object], other: dict[str, object], rig: ApiRig
) -> None:
    """Any change takes a key: a repeat is answered alike, another body is refused."""
    key = {"Idempotency-Key": f"every {path}"}
    first = rig.post(path, body, headers=key)
    again = rig.post(path, body, headers=key)
    refused = rig.post(path, other, headers=key)
    rig.post("/kill-switch", {"active": False, "reason": "go on"})

    assert (first.status, again.text) == (200, first.text)
    assert (refused.status, refused.error["code"]) == (422, "idempotency_key_reused")


def test_t09_a_key_of_one_role_is_none_of_another(rig: ApiRig) -> None:
    """A stored answer is told only to the role that got it first."""
    key = {"Idempotency-Key": "of admin"}
    rig.post("/reconcile", {}, headers=key)
    other = {**key, "Authorization": f"Bearer {OPERATE_TOKEN}"}

    assert rig.post("/reconcile", {}, headers=other).error["code"] == "idempotency_key_reused"


PAGE = {"Sec-Fetch-Site": "same-origin"}


def test_t10_a_page_shows_first_and_then_asks() -> None:
    """From a page, exit-all and resume need the ticket of their preview, once."""
    with ApiRig() as rig:
        rig.track()
        without = rig.post("/exit-all", {"reason": "x"}, headers=PAGE)
        ticket = rig.get("/exit-preview", headers=PAGE).json["ticket"]
        made_up = rig.post("/exit-all", {"reason": "x", "ticket": ticket[:-1]}, headers=PAGE)
        good = rig.post("/exit-all", {"reason": "x", "ticket": ticket}, headers=PAGE)
        used = rig.post("/exit-all", {"reason": "x", "ticket": ticket}, headers=PAGE)
        resume = {"active": False, "reason": "x"}
        blind = rig.post("/kill-switch", resume, headers=PAGE)
        seen = rig.get("/resume-preview", headers=PAGE).json
        lifted = rig.post("/kill-switch", {**resume, "ticket": seen["ticket"]}, headers=PAGE)

    assert (without.status, without.error["code"]) == (428, "preview_needed")
    assert (made_up.status, made_up.error["code"]) == (409, "preview_stale")
    assert (good.status, used.status) == (200, 409)
    assert (blind.status, lifted.status) == (428, 200)
    assert seen["kill_switch"]["active"] is True


def test_t10_more_than_was_shown_is_refused(rig: ApiRig) -> None:
    """What came under watch after the preview was not shown: look again. Programs need no ticket,
    and one that they give is checked all the same."""
    mine = rig.track()
    ticket = rig.get(f"/exit-preview?tracker_id={mine}").json["ticket"]
    person = {"reason": "x", "ticket": ticket}
    other = rig.track()
    of_another = rig.post(f"/trackers/{other}/untrack", person)
    all_shown = rig.get("/exit-preview").json["ticket"]
    rig.track()
    more = rig.post("/exit-all", {"reason": "x", "ticket": all_shown})
    without = rig.post(f"/trackers/{mine}/untrack", {"reason": "x"})

    assert (of_another.status, of_another.error["code"]) == (409, "preview_stale")
    assert (more.status, more.error["code"]) == (409, "preview_stale")
    assert without.status == 200


def test_t10_only_closing_everything_may_go_unseen() -> None:
    """`unseen` stands in for a preview that cannot be had where a page closes; what lets orders out
    again or lets a position go is looked at first."""
    with ApiRig() as rig:
        mine = rig.track()
        unseen = {"reason": "x", "ticket": "unseen"}
        untracked = rig.post(f"/trackers/{mine}/untrack", unseen, headers=PAGE)
        rig.post("/kill-switch", {"active": True, "level": "all", "reason": "x"}, headers=PAGE)
        lifted = rig.post("/kill-switch", {"active": False, **unseen}, headers=PAGE)
        is_active = rig.get("/kill-switch").json["active"]
        status = rig.get(f"/trackers/{mine}").json["status"]
        closed = rig.post("/exit-all", unseen, headers=PAGE)

    assert (untracked.status, untracked.error["code"]) == (409, "preview_stale")
    assert (lifted.status, lifted.error["code"]) == (409, "preview_stale")
    assert (is_active, status) == (True, "ACTIVE")
    assert closed.status == 200


def test_t10_a_ticket_is_good_for_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticket that is older, or another role's, is refused; one whose list shrank is good."""
    admin = Caller(Role.ADMIN, "127.0.0.1", is_page=True)
    operate = Caller(Role.OPERATE, "127.0.0.1", is_page=True)
    shown = {"a": ("LONG", 75), "b": ("SHORT", 25)}

    async def take(seconds: float, caller: Caller, now: Shown) -> None:
        tickets = PreviewTickets()
        ticket = tickets.give(EXIT_ALL, admin, shown)
        loop = asyncio.get_running_loop()
        later = loop.time() + seconds
        monkeypatch.setattr(loop, "time", lambda: later)
        tickets.take(ticket, EXIT_ALL, caller, now)

    asyncio.run(take(VALID_SECONDS - 1, admin, {"a": ("LONG", 50)}))
    for seconds, caller, now in (
        (VALID_SECONDS + 1, admin, shown),
        (0.0, operate, shown),
        (0.0, admin, {"a": ("LONG", 76)}),
        (0.0, admin, {"a": ("SHORT", 75)}),
        (0.0, admin, {"c": ("LONG", 1)}),
    ):
        with pytest.raises(ApiError, match="look again"):
            asyncio.run(take(seconds, caller, now))


def test_t11_a_flood_of_calls_does_not_lock_out_a_halt() -> None:
    """Beyond the common budget calls get 429, and a halt still goes through by its reserve."""
    limits = ApiLimits(calls_per_second=0.01, calls_at_once=5, urgent_per_second=1.0)
    with ApiRig(limits=limits) as rig:
        statuses = [rig.get("/status").status for _ in range(8)]
        refused = rig.get("/status")
        halted = rig.post("/kill-switch", {"active": True, "reason": "halt in a flood"})

    assert sorted(set(statuses)) == [200, 429]
    assert refused.error["code"] == "too_many_calls"
    assert refused.headers["retry-after"] == "1"
    assert (halted.status, halted.json["active"]) == (200, True)


def test_t11_the_refusal_of_wrong_tokens_is_held_back_ever_longer() -> None:
    """A source's wrong tokens cost it 0.05 s, then twice as long each, until a minute's peace."""
    delays = FailureDelays(2.0)
    waits = [delays.next_delay("127.0.0.1", now=0.1 * count) for count in range(14)]

    assert waits[:FREE_FAILURES] == [0.0] * FREE_FAILURES
    assert waits[FREE_FAILURES:] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    assert delays.next_delay("another", now=2.0) == 0.0
    assert delays.next_delay("127.0.0.1", now=100.0) == 0.0


def test_t11_a_right_token_never_waits_for_wrong_ones() -> None:
    """While more wrong tokens come than may be held back, the right one passes."""
    with ApiRig(limits=USUAL_LIMITS) as rig, ThreadPoolExecutor(40) as pool:
        wrong = {"Authorization": "Bearer wrong"}
        guesses = [pool.submit(rig.get, "/status", headers=wrong) for _ in range(60)]
        right = rig.get("/status")
        statuses = {guess.result().status for guess in guesses}

    assert right.status == 200
    assert statuses == {401, 429}


def test_t20_every_command_and_refusal_is_in_the_journal(rig: ApiRig) -> None:
    """A command stands there with actor, source, key and result, before what it brought about."""
    head = rig.journal_head()
    mine = rig.track()
    rig.post(
        f"/trackers/{mine}/exit",
        {"reason": "told", "wait": "filled"},
        headers={"Idempotency-Key": "key-20", "User-Agent": "script/1.0"},
    )
    rig.post("/trackers", position_body(quantity=-1))
    rig.get("/status", headers={"Authorization": "Bearer wrong", "User-Agent": "guesser"})
    rig.run(rig.engine.desk.trail.write_counted())
    facts = rig.get(f"/journal?after={head}").json["items"]
    asked = [f for f in facts if f["kind"] == "command_asked"]
    answered = [f for f in facts if f["kind"] == "command_answered"]
    claimed = next(f for f in facts if f["kind"] == "exit_claimed")
    exit_asked = next(f for f in asked if f["data"]["key"] == "key-20")

    assert exit_asked["data"]["actor"] == "admin"
    assert exit_asked["data"]["source"] == "127.0.0.1 script/1.0"
    assert exit_asked["data"]["call"] == "POST /api/v1/trackers/{tracker_id}/exit"
    assert exit_asked["data"]["about"] == mine
    assert exit_asked["seq"] < claimed["seq"]
    assert [(f["data"]["status"], f["data"]["code"]) for f in answered] == [
        (201, ""), (200, ""), (422, "invalid_request"),
    ]  # fmt: skip
    assert [f["data"]["command_id"] for f in asked] == [f["data"]["command_id"] for f in answered]
    refused = [f["data"] for f in facts if f["kind"] == "calls_refused"]
    assert {"code": "unauthorized", "source": "127.0.0.1 guesser", "count": 1} in refused
    assert TOKEN not in str(facts)


def test_t20_a_command_stands_before_all_that_it_brings_about(rig: ApiRig) -> None:
    """Also where the act begins with its write: the asking is asked for first."""
    head = rig.journal_head()
    rig.post("/kill-switch", {"active": True, "reason": "asked first"})
    rig.post("/kill-switch", {"active": False, "reason": "and again"})
    kinds = [f["kind"] for f in rig.facts_after(head) if f["kind"] != "books_reconciled"]
    own = [kind for kind in kinds if kind.startswith(("command", "kill_switch"))]

    assert len(own) == 6, own
    assert own[0::3] == ["command_asked"] * 2
    assert own[2::3] == ["command_answered"] * 2
