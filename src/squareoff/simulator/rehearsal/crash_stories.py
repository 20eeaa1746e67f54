"""The fixed stories that are crashed at every checkpoint, and again at every one of recovery."""

from squareoff.domain.orders import PositionSide
from squareoff.simulator.rehearsal.crash_script import Act, CrashStory, Held

_SHORT = PositionSide.SHORT
_SHARES = "2885"
_SLICED = 55
"""Lots: more than two full orders of the freeze quantity."""

_RESTING = (Act(3.2, "nothing fills"), Act(6.6, "all fills"))

_PLAIN = (
    CrashStory("a stop closes a long"),
    CrashStory("a stop closes a short", (Held(side=_SHORT),)),
    CrashStory("a target closes a long", (Held("target"),)),
    CrashStory("a target closes a short", (Held("target", _SHORT),)),
    CrashStory("a trailing stop closes a long", (Held("trailing"),)),
    CrashStory("a trailing stop closes a short", (Held("trailing", _SHORT),)),
    CrashStory("a square-off time closes a long", (Held("time"),)),
    CrashStory("a person closes a long", (Held("manual"),)),
    CrashStory("five callers close a short", (Held("manual", _SHORT, callers=5),)),
    CrashStory("a stop closes long shares", (Held(lots=40, security_id=_SHARES),)),
    CrashStory("a stop closes short shares", (Held(side=_SHORT, lots=40, security_id=_SHARES),)),
    CrashStory("a market order closes a long", order_type="market"),
    CrashStory("a market order closes a short", (Held(side=_SHORT),), order_type="market"),
    CrashStory("a plain market order", order_type="market", conduct={"market_orders": "plain"}),
    CrashStory("a long is sliced", (Held(lots=_SLICED),)),
    CrashStory("a short is sliced", (Held(side=_SHORT, lots=_SLICED),)),
    CrashStory("fills come in parts", (Held(lots=10),), thin_market=True),
    CrashStory("slices fill in parts", (Held(lots=_SLICED),), thin_market=True),
    CrashStory("an order enters, a stop closes", (Held(by_entry=True),)),
    CrashStory("an entry still fills", (Held(lots=12, by_entry=True),), thin_market=True),
    CrashStory("an entry is never filled", (Held(by_entry=True),), acts=(
        Act(0.1, "nothing fills"), Act(3.8, "cancel ours"), Act(3.9, "all fills"))),
    CrashStory("two positions on one key", (Held(lots=2), Held(lots=3))),
    CrashStory("one of two on a key is closed", (Held("manual"), Held("target", lots=3))),
    CrashStory("two keys at once", (Held(), Held(security_id="49082"))),
    CrashStory("three exits at once", (Held(), Held(lots=4), Held(security_id=_SHARES, lots=9))),
)  # fmt: skip

_ANSWERS = (
    CrashStory("the answer is lost", faults={"write_reply_lost": 1}),
    CrashStory("the answer is reset", faults={"write_reply_reset": 1}),
    CrashStory("the answer is cut", faults={"write_cut": 1}),
    CrashStory("the exit is lost", faults={"write_lost": 1}),
    CrashStory("the exit is lost twice", faults={"write_lost": 2}, chaos_seconds=24.0),
    CrashStory("the exit arrives late", faults={"write_late": 1}),
    CrashStory("the answer is slow", faults={"write_slow": 1}),
    CrashStory("a server error behind a taken order", faults={"write_5xx_after": 1}),
    CrashStory("a server error instead of an order", faults={"write_5xx_before": 1}),
    CrashStory("a page of HTML behind a taken order", faults={"write_html_after": 1}),
    CrashStory("an empty answer", faults={"write_empty": 1}),
    CrashStory("a refusal for the rate", faults={"write_429": 2}),
    CrashStory("a bare 429 behind a taken order", faults={"write_429_bare": 1}),
    CrashStory("no connection", faults={"write_refused_connect": 2}),
    CrashStory("an order is refused", faults={"write_refused_order": 1}),
    CrashStory("an order is rejected", faults={"reject": 1}),
    CrashStory("three orders are rejected", faults={"reject": 3}),
    CrashStory("slices with a lost answer", (Held(lots=_SLICED),), {"write_reply_lost": 1}),
    CrashStory("two on a key, one answer lost", (Held(), Held(lots=3)), {"write_reply_reset": 1}),
    CrashStory("the order stream drops all", faults={"stream_drop": 50}),
    CrashStory("updates come before answers", conduct={"alert_timing": "before_answer"}),
    CrashStory("the look-up lags", faults={"write_reply_reset": 1, "lag_lookup": 9,
                                           "lag_orders": 9}),
    CrashStory("positions lag", faults={"lag_positions": 9}),
)  # fmt: skip

_BROKER = (
    CrashStory("the price is chased", acts=_RESTING),
    CrashStory("a short is chased", (Held(side=_SHORT),), acts=_RESTING),
    CrashStory("a modify is lost", faults={"write_reply_reset": 2}, acts=_RESTING),
    CrashStory("a part fills, the rest is chased", (Held(lots=4),), {"partial_fill": 1}),
    CrashStory("the broker cancels the exit", acts=(*_RESTING, Act(4.8, "cancel ours"))),
    CrashStory("the broker cancels it twice", acts=(
        *_RESTING, Act(4.8, "cancel ours"), Act(5.8, "cancel ours"))),
    CrashStory("the exit expires", acts=(*_RESTING, Act(4.8, "expire ours"))),
    CrashStory("the exchange rejects a working exit", acts=(*_RESTING, Act(4.8, "reject ours"))),
    CrashStory("a cancel meets a part fill", (Held(lots=4),), {"partial_fill": 1},
               acts=(Act(5.0, "cancel ours"),)),
    CrashStory("closed by hand before the stop", acts=(Act(3.4, "close by hand", 2),)),
    CrashStory("half closed by hand before", (Held(lots=4),), acts=(Act(3.4, "close by hand", 2),)),
    CrashStory("half closed by hand meanwhile", (Held(lots=4),),
               acts=(*_RESTING, Act(4.6, "close by hand", 2))),
    CrashStory("added to by hand", acts=(Act(3.4, "add by hand", 2),)),
    CrashStory("the broker squares off", (Held(lots=4),), acts=(*_RESTING, Act(5.0, "square off"))),
    CrashStory("the kill switch stands at new", acts=(Act(3.4, "kill_new", 3.0),)),
    CrashStory("the kill switch stands at all", acts=(Act(3.4, "kill_all", 3.0),)),
    CrashStory("the token dies", acts=(Act(3.8, "token dies"), Act(6.4, "token lives"))),
    CrashStory("the address is refused", acts=(
        Act(3.8, "address refused"), Act(6.4, "address allowed"))),
    CrashStory("trading is halted", acts=(Act(3.8, "halt"), Act(6.4, "trade"))),
    CrashStory("the clock steps back", acts=(Act(4.1, "step clock", -2.5),)),
)  # fmt: skip

CRASH_STORIES: dict[str, CrashStory] = {
    story.name: story for story in (*_PLAIN, *_ANSWERS, *_BROKER)
}
