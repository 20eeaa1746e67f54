"""The classes of faults a seed can turn on, as rules of the broker's own fault plan.

Each class is a name and the rules it stands for at a rate. Delays and lags are bounded so that an
order that left takes effect and becomes visible within the quarantine, the bound all rests on: late
arrival 4 s, plus lag 2 s, plus a slow answer 2 s is below the 10 s. Only the outlaw classes break
that bound; they are kept in runs of their own.
"""

from collections.abc import Callable, Mapping

from squareoff.simulator.faults import FaultRule, HowOften, What, Where

LATE_SECONDS_MAX = 4.0
LAG_SECONDS_MAX = 2.0
OUTLAW_SECONDS = (16.0, 45.0)

Maker = Callable[[float], list[FaultRule]]


def _rule(name: str, where: Where, what: What, rate: float) -> FaultRule:
    return FaultRule(what=what, id=name, where=where, how_often=HowOften(probability=rate))


def _write(name: str, what: What, method: str = "*") -> Maker:
    """Faults of order writes; `method` narrows them."""
    methods = ("POST", "PUT", "DELETE") if method == "*" else (method,)
    return lambda rate: [
        _rule(f"{name}/{one}", Where(method=one, path="/orders*"), what, rate) for one in methods
    ]


_QUOTES = Where(method="POST", path="/marketfeed/*")
"""A read in spite of its verb."""


def _read(name: str, what: What) -> Maker:
    """Faults of any read, the quotes among them."""
    return lambda rate: [
        _rule(name, Where(method="GET"), what, rate),
        _rule(f"{name}/quotes", _QUOTES, what, rate),
    ]


def _lag(name: str, where: Where) -> Maker:
    return lambda rate: [_rule(name, where, What(lag_ms=_LAG_MS), rate)]


def _socket(name: str, socket: str, what: What, on: str = "frame") -> Maker:
    where = Where(socket=socket, on=on)  # type: ignore[arg-type]
    return lambda rate: [_rule(name, where, what, rate)]


def _changed_update(name: str, status: str, fields: dict[str, object], rate: float) -> FaultRule:
    where = Where(socket="order_update", match={"orderStatus": status})
    often = HowOften(probability=rate)
    return FaultRule(what=What(fields=fields), id=name, where=where, how_often=often)


_SERVER_ERROR = {"errorType": "Server", "errorCode": "DH-908", "errorMessage": "Internal error"}
_REFUSAL = {"errorType": "Order_Error", "errorCode": "DH-906", "errorMessage": "Try later"}
_DRIP_MS = (8_500.0, 20_000.0)
"""An answer that comes byte by byte, and is not whole when the client gives up."""

_MINUTE_MS = (0.0, 60_000.0)
_CANCELLED_UNFILLED: dict[str, object] = {"status": "Cancelled", "tradedQty": 0}
"""What an update says of an order whose cancel crossed its fill; with the price of the fill it
contradicts itself."""

_ELSEWHERE = {"location": "https://elsewhere.example/orders"}
HUGE_BODY = "[" + "0," * 20_000 + "0]"
SPIKE_PRICE = "900.00"
"""Inside the circuit limits of the options here, and four times their price."""

_LATE_MS = (0.0, LATE_SECONDS_MAX * 1_000)
_LAG_MS = (0.0, LAG_SECONDS_MAX * 1_000)

FAULT_CLASSES: Mapping[str, Maker] = {
    # Order writes: did it leave, did it act, what came back.
    "write_lost": _write("write_lost", What(drop_before="hold")),
    "write_reset_before": _write("write_reset_before", What(drop_before="reset")),
    "write_late": _write("write_late", What(delay_ms=_LATE_MS)),
    "write_reply_lost": _write("write_reply_lost", What(drop_after="hold")),
    "write_reply_reset": _write("write_reply_reset", What(drop_after="reset")),
    "write_cut": _write("write_cut", What(reset_mid_answer=True)),
    "write_refused_connect": _write("write_refused_connect", What(refuse=True)),
    "write_5xx_before": _write("write_5xx_before", What(status=500, body=_SERVER_ERROR)),
    "write_5xx_after": _write("write_5xx_after", What(status=502, act=True)),
    "write_429": _write("write_429", What(error="DH-904")),
    "write_429_bare": _write("write_429_bare", What(status=429, act=True)),
    "write_html": _write("write_html", What(html=True)),
    "write_html_after": _write("write_html_after", What(html=True, act=True)),
    "write_truncated": _write("write_truncated", What(truncated_json=True)),
    "write_empty": _write("write_empty", What(empty_body=True)),
    "write_slow": _write("write_slow", What(answer_delay_ms=(500.0, 6_000.0))),
    "write_drip": _write("write_drip", What(answer_delay_ms=_DRIP_MS)),
    "write_no_order_id": _write(
        "write_no_order_id", What(status=200, body={"orderStatus": "TRANSIT"}, act=True)
    ),
    "write_redirect": _write("write_redirect", What(status=307, headers=_ELSEWHERE)),
    "write_huge": _write("write_huge", What(status=200, body=HUGE_BODY, act=True)),
    "write_400_bare": _write("write_400_bare", What(status=400, act=True)),
    "write_refused_order": _write("write_refused_order", What(status=400, body=_REFUSAL), "POST"),
    # Reads: failing, slow, of the past.
    "read_lost": _read("read_lost", What(drop_before="hold")),
    "read_refused_connect": _read("read_refused_connect", What(refuse=True)),
    "read_5xx": _read("read_5xx", What(status=503)),
    "read_429": _read("read_429", What(error="DH-904")),
    "read_html": _read("read_html", What(html=True)),
    "read_truncated": _read("read_truncated", What(truncated_json=True)),
    "read_empty": _read("read_empty", What(empty_body=True)),
    "read_slow": _read("read_slow", What(answer_delay_ms=(100.0, 2_000.0))),
    "read_drip": _read("read_drip", What(answer_delay_ms=_DRIP_MS)),
    "read_redirect": _read("read_redirect", What(status=302, headers=_ELSEWHERE)),
    "read_huge": _read("read_huge", What(status=200, body=HUGE_BODY)),
    "read_no_list": _read("read_no_list", What(status=200, body={"status": "success"})),
    "read_empty_list": lambda rate: [
        FaultRule(
            what=What(status=200, body=[]),
            id=f"read_empty_list{path}",
            where=Where(method="GET", path=path),
            # One odd answer, never a run of them: a broker that keeps saying so means it.
            how_often=HowOften(probability=rate, every=3),
        )
        for path in ("/orders", "/trades", "/positions")
    ],
    "lag_orders": _lag("lag_orders", Where(method="GET", path="/orders")),
    "lag_lookup": _lag("lag_lookup", Where(method="GET", path="/orders/external/*")),
    "lag_trades": _lag("lag_trades", Where(method="GET", path="/trades")),
    "lag_positions": _lag("lag_positions", Where(method="GET", path="/positions")),
    "lag_quotes": _lag("lag_quotes", _QUOTES),
    # What the exchange and the risk system do.
    "reject_change": lambda rate: [
        _rule(f"reject_change/{method}", Where(method=method, path="/orders*"), what, rate)
        for method in ("PUT", "DELETE")
        for what in (What(reject="Order can not be changed now"),)
    ],
    "reject": _write("reject", What(reject="Order rejected, try again later"), "POST"),
    "partial_fill": lambda rate: [
        _rule(
            f"partial_fill/{segment}",
            Where(method="POST", path="/orders", match={"exchangeSegment": segment}),
            What(partial_fill=one_lot),
            rate,
        )
        for segment, one_lot in (("NSE_FNO", 75), ("NSE_EQ", 1))
    ],
    # The order stream.
    "stream_drop": _socket("stream_drop", "order_update", What(drop=True)),
    "stream_duplicate": _socket("stream_duplicate", "order_update", What(duplicate=2)),
    "stream_reorder": _socket("stream_reorder", "order_update", What(reorder=2)),
    "stream_delay": _socket("stream_delay", "order_update", What(delay_ms=(0.0, 30_000.0))),
    "stream_long_delay": _socket("stream_long_delay", "order_update", What(delay_ms=_MINUTE_MS)),
    "stream_unknown_status": _socket(
        "stream_unknown_status", "order_update", What(fields={"status": "Frozen"})
    ),
    "stream_correction": lambda rate: [
        _changed_update("stream_correction", "TRADED", {"status": "Pending", "tradedQty": 0}, rate)
    ],
    "stream_cancel_of_filled": lambda rate: [
        _changed_update(f"stream_cancel_of_filled/{name}", "TRADED", fields, chance)
        for name, fields, chance in (
            ("at_a_price", _CANCELLED_UNFILLED, rate / 2),
            ("plain", _CANCELLED_UNFILLED | {"avgTradedPrice": 0}, rate),
        )
    ],
    "stream_null_field": _socket(
        "stream_null_field", "order_update", What(fields={"tradedQty": None})
    ),
    "stream_closed": _socket("stream_closed", "order_update", What(disconnect="close")),
    "stream_binary": _socket("stream_binary", "order_update", What(garbage="binary")),
    "stream_garbage": _socket("stream_garbage", "order_update", What(garbage="text")),
    "stream_truncated": _socket("stream_truncated", "order_update", What(garbage="truncated")),
    "stream_reset": _socket("stream_reset", "order_update", What(disconnect="reset")),
    "stream_login_ends": _socket(
        "stream_login_ends", "order_update", What(disconnect=True), "login"
    ),
    "stream_connect_refused": _socket(
        "stream_connect_refused", "order_update", What(refuse=True), "connect"
    ),
    # The market feed.
    "feed_drop": _socket("feed_drop", "feed", What(drop=True)),
    "feed_delay": _socket("feed_delay", "feed", What(delay_ms=(0.0, 2_500.0))),
    "feed_reset": _socket("feed_reset", "feed", What(disconnect="reset")),
    "feed_ended_805": _socket("feed_ended_805", "feed", What(disconnect=805)),
    "feed_garbage": _socket("feed_garbage", "feed", What(garbage="binary")),
    "feed_truncated": _socket("feed_truncated", "feed", What(garbage="truncated")),
    "feed_wrong_length": _socket("feed_wrong_length", "feed", What(garbage="wrong_length")),
    "feed_unknown_code": _socket("feed_unknown_code", "feed", What(garbage="unknown_code")),
    "feed_stale_length": _socket("feed_stale_length", "feed", What(garbage="stale_length")),
    "feed_duplicate": _socket("feed_duplicate", "feed", What(duplicate=2)),
    "feed_burst": _socket("feed_burst", "feed", What(duplicate=30)),
    "feed_reorder": _socket("feed_reorder", "feed", What(reorder=2)),
    "feed_unknown_id": _socket("feed_unknown_id", "feed", What(security_id="99999")),
    "feed_not_a_number": _socket("feed_not_a_number", "feed", What(price="nan")),
    "feed_infinite": _socket("feed_infinite", "feed", What(price="inf")),
    "feed_zero": _socket("feed_zero", "feed", What(price="0")),
    "feed_negative": _socket("feed_negative", "feed", What(price="-210.5")),
    "feed_huge": _socket("feed_huge", "feed", What(price="1e38")),
    "feed_last_day": _socket("feed_last_day", "feed", What(time_shift_seconds=-86_400.0)),
    "feed_mute": _socket("feed_mute", "feed", What(drop=True), "subscribe"),
    "feed_absurd_price": _socket("feed_absurd_price", "feed", What(price="5000.00")),
    "feed_spike": lambda rate: [
        FaultRule(
            what=What(price=SPIKE_PRICE),
            id="feed_spike",
            where=Where(socket="feed"),
            # Never two in a row: the engine takes a second print far away for the truth.
            how_often=HowOften(probability=rate, every=3),
        )
    ],
    "feed_stale_clock": _socket("feed_stale_clock", "feed", What(time_shift_seconds=-3_600.0)),
    "feed_connect_refused": _socket("feed_connect_refused", "feed", What(refuse=True), "connect"),
}
"""Fault classes by name. Rates are probabilities per event."""

SPIKE_COMPANY = "feed_"
"""Where frames between two spikes can be lost, two spikes can come in a row: spikes are alone."""

TRULY_REFUSING = frozenset(
    {"write_429", "write_refused_order", "write_5xx_before", "write_html", "write_redirect"}
)
ACTING_BEHIND_AN_ERROR = frozenset(
    {
        "write_429_bare",
        "write_5xx_after",
        "write_html_after",
        "write_no_order_id",
        "write_huge",
        "write_400_bare",
    }
)
"""Never both kinds in one run: merged on one call they would make a broker that says in its own
words that it took nothing and took the order."""

STREAM_MUTE = _socket("stream_mute", "order_update", What(silence=True))
STREAM_SILENCE = _socket("stream_silent", "order_update", What(silence=True))
FEED_SILENCE = _socket("feed_silent", "feed", What(silence=True))

OUTLAW_CLASSES: Mapping[str, Maker] = {
    "outlaw_late": lambda rate: [
        _rule(
            "outlaw_late",
            Where(method="POST", path="/orders*"),
            What(delay_ms=(OUTLAW_SECONDS[0] * 1_000, OUTLAW_SECONDS[1] * 1_000)),
            rate,
        )
    ],
    "outlaw_twice": lambda rate: [
        _rule("outlaw_twice", Where(method="POST", path="/orders"), What(repeat=2), rate)
    ],
}
"""Beyond the bound B: a request that takes effect after the quarantine, or twice."""
