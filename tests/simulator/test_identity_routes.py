"""Who calls and from where: the login, renewal and static-IP answers of the simulated broker."""

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from squareoff.adapters.broker.dhan.totp import TotpSecret

PIN, SECRET = "481516", "JBSWY3DPEHPK3PXPJBSWY3DP"


def log_in(bench: Any, **changes: str) -> Any:
    query = {"dhanClientId": "1100000001", "pin": PIN, "totp": TotpSecret(SECRET).code(bench.now)}
    return bench.call("POST", "/app/generateAccessToken", None, **(query | changes))[1]


def login_bench(make_bench: Callable[..., Any], **knobs: Any) -> Any:
    return make_bench(login_pin=PIN, login_totp_secret=SECRET, **knobs)


def test_a_login_gives_a_new_token_and_kills_the_old(make_bench: Callable[..., Any]) -> None:
    """PIN and code bring a token without any token; the one used before is dead."""
    bench = login_bench(make_bench)
    assert bench.call("GET", "/profile")[0] == 200

    answer = log_in(bench)

    assert bench.call("GET", "/profile")[0] == 401
    bench.headers["access-token"] = answer["accessToken"]
    assert bench.call("GET", "/profile")[0] == 200
    assert bench.call("GET", "/RenewToken")[0] == 400, "tokens of the API are not renewed"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"pin": "000000"}, "Invalid Pin"),
        ({"totp": "000000"}, "Invalid TOTP"),
        ({"totp": ""}, "Invalid TOTP"),
        ({"dhanClientId": ""}, "Invalid request"),
    ],
)
def test_a_wrong_login_is_refused_and_kills_nothing(
    make_bench: Callable[..., Any], changes: dict[str, str], text: str
) -> None:
    """A wrong PIN, code or client gets no token, and the old one lives."""
    bench = login_bench(make_bench)

    assert log_in(bench, **changes) == {"status": "error", "message": text}
    assert bench.call("GET", "/profile")[0] == 200


def test_logins_have_their_pace(make_bench: Callable[..., Any]) -> None:
    """A second login within two minutes is refused, one after them is not."""
    bench = login_bench(make_bench)
    assert "accessToken" in log_in(bench)

    assert "accessToken" not in log_in(bench)
    bench.run(120_000)
    assert "accessToken" in log_in(bench)


def test_the_record_of_requests_hides_the_login(make_bench: Callable[..., Any]) -> None:
    """The admin's record shows that somebody logged in, not with what."""
    bench = login_bench(make_bench)
    log_in(bench)

    assert PIN not in str(bench.admin.state(bench.now)["received"])


def test_shapes_of_the_static_ip_answer(make_bench: Callable[..., Any]) -> None:
    """The documented fields, those observed besides, and the error that comes with HTTP 200."""
    assert make_bench().call("GET", "/ip/getIP")[1]["ordersAllowed"] is True
    documented = make_bench(ip_answer="documented").call("GET", "/ip/getIP")[1]
    assert "ordersAllowed" not in documented and documented["primaryIP"]
    status, body = make_bench(ip_answer="error_array").call("GET", "/ip/getIP")
    assert (status, body[0]["status"]) == (200, "ERROR")


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ("documented", lambda body: body["accessToken"]),
        ("token", lambda body: body["token"]),
        ("access_token", lambda body: body["access_token"]),
        ("data", lambda body: body["data"]["accessToken"]),
        ("array", lambda body: body[0]["accessToken"]),
    ],
)
def test_shapes_of_the_renewal_answer(
    make_bench: Callable[..., Any], shape: str, found: Callable[[Any], str]
) -> None:
    """Whatever it is called, the renewed token stands there and lives, and the old one is dead."""
    bench = make_bench(renew_answer=shape)

    _, body = bench.call("GET", "/RenewToken")

    assert bench.call("GET", "/profile")[0] == 401
    bench.headers["access-token"] = found(body)
    assert bench.call("GET", "/profile")[0] == 200


def test_the_death_of_a_token_can_end_its_sockets(make_bench: Callable[..., Any]) -> None:
    """With the knob on, both sockets of a killed token end the way refused ones do."""
    bench = make_bench(token_death_ends_sockets=True)
    listener, (viewer, _) = bench.listen(), bench.subscribe(17, ("NSE_FNO", "49543"))

    bench.call("GET", "/RenewToken")

    assert (listener.ended, viewer.ended) == ("reset", "close")
    assert viewer.frames[-1][0] == 50


@pytest.mark.parametrize(("ends", "endings"), [(True, ("reset", "close")), (False, ("", ""))])
def test_the_end_of_a_token_s_time_can_end_its_sockets(
    make_bench: Callable[..., Any], ends: bool, endings: tuple[str, str]
) -> None:
    """With the knob on, they end when it expires; a socket that never logged in goes on."""
    bench = make_bench(token_hours=1, token_death_ends_sockets=ends)
    listener, (viewer, _) = bench.listen(), bench.subscribe(17, ("NSE_FNO", "49543"))
    silent = type(listener)()
    bench.broker.updates.connect(silent, bench.now)

    bench.run(3_600_000 - 1)
    assert (listener.ended, viewer.ended) == ("", "")
    bench.run(1)

    assert (listener.ended, viewer.ended, silent.ended) == (*endings, "")
    disconnect = struct.pack("<BHBIH", 50, 10, 0, 0, 807)
    assert (viewer.frames[-1:] == [disconnect]) is ends


@pytest.mark.parametrize("code", ["807", "809"])
def test_a_dead_token_may_be_told_in_the_data_shape(
    make_bench: Callable[..., Any], code: str
) -> None:
    """The trading API can be made to answer as the data API does."""
    status, body = make_bench(dead_token_answer=code, token_is_alive=False).call("GET", "/orders")

    assert status == 400 and code in body["data"]


@pytest.mark.parametrize("expiry", [1_790_000_000_000 * 10, 10**30])
def test_a_token_that_claims_to_outlive_the_calendar_has_a_profile(bench: Any, expiry: int) -> None:
    """An `exp` in milliseconds, as some write it, is a token that lives long."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": expiry}).encode()).decode().rstrip("=")
    bench.headers["access-token"] = f"e30.{claims}.c2ln"

    status, profile = bench.call("GET", "/profile")

    assert (status, profile["tokenValidity"]) == (200, "01/01/3000 05:30")
