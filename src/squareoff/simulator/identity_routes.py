"""REST of who calls and from where: the token's profile, its renewal, the login, the static IP.

Written from dhanhq-v2.md 1.3 to 1.5. The login by PIN and TOTP is served at `/app`, beside `/v2`.
"""

from typing import Any

from squareoff.adapters.broker.dhan.totp import STEP_SECONDS, TotpSecret
from squareoff.domain.time import seconds_to_ns
from squareoff.simulator.calls import BrokerParts, Call
from squareoff.simulator.conduct import BrokerConduct
from squareoff.simulator.wire import (
    WireRequest,
    WireResponse,
    clock_text,
    json_response,
    profile_text,
    refusal,
)

LOGIN_PATH = "/app/generateAccessToken"
_REGISTERED_ELSEWHERE = "192.0.2.1"
_HERE = "127.0.0.1"


def profile(call: Call) -> WireResponse:
    """Answer `GET /profile`."""
    token = call.request.headers["access-token"]
    conduct = call.conduct
    expires_ns = call.broker.identity.expires_ns(token, conduct.token_hours, call.now_ns)
    is_letters = conduct.active_segment_style == "letters"
    return json_response(
        200,
        {
            "dhanClientId": call.account.client_id,
            "tokenValidity": profile_text(expires_ns),
            "activeSegment": "E, D, C, M, " if is_letters else "Equity, Derivative, Currency",
            "ddpi": "Active",
            "mtf": "Deactive",
            "dataPlan": "Active" if conduct.data_plan == "active" else "Deactive",
            "dataValidity": clock_text(expires_ns) + ".0",
        },
    )


def renew(call: Call) -> WireResponse:
    """Answer `GET /RenewToken`: the presented token dies, a new one lives; web-made ones only."""
    token, client_id = call.request.headers["access-token"], call.account.client_id
    identity, conduct = call.broker.identity, call.conduct
    if not conduct.renew_allowed or not identity.is_renewable(token):
        raise refusal(400, "DH-905", "Token cannot be renewed")
    fresh = identity.renew(token, client_id, call.now_ns, conduct.token_hours)
    call.broker.end_dead_sockets()
    issued = _issued_fields(call.broker, client_id, fresh, call.now_ns)
    return json_response(200, _renewal_shape(issued, conduct))


def _renewal_shape(issued: dict[str, Any], conduct: BrokerConduct) -> Any:
    """Return the answer of RenewToken in the shape that the knob asks for."""
    few = {name: issued[name] for name in ("dhanClientId", "expiryTime")}
    match conduct.renew_answer:
        case "documented":
            return issued
        case "token":  # as two public clients read it
            return few | {"token": issued["accessToken"]}
        case "access_token":
            return few | {"access_token": issued["accessToken"]}
        case "data":
            return {"status": "success", "data": issued}
        case "array":
            return [issued]


def renew_by_post(_: Call) -> WireResponse:
    """Answer `POST /RenewToken`: refused (12.17)."""
    raise refusal(400, "DH-905", "Bad request")


def log_in(broker: BrokerParts, request: WireRequest, now_ns: int) -> WireResponse:
    """Answer the login by PIN and TOTP: every other token of the client dies."""
    query, conduct = request.query, broker.conduct
    account = broker.adopt(query.get("dhanClientId") or None) if request.method == "POST" else None
    if account is None:
        return _login_refused("Invalid request")
    if not query.get("pin") or conduct.login_pin not in ("", query["pin"]):
        return _login_refused("Invalid Pin")
    if not _is_good_code(conduct, query.get("totp", ""), now_ns):
        return _login_refused("Invalid TOTP")
    if not broker.identity.may_log_in(account.client_id, conduct.mint_interval_seconds, now_ns):
        seconds = round(conduct.mint_interval_seconds)
        return _login_refused(f"Token can be generated once every {seconds} seconds")
    fresh = broker.identity.mint(account.client_id, now_ns, conduct.token_hours)
    broker.end_dead_sockets()
    return json_response(200, _issued_fields(broker, account.client_id, fresh, now_ns))


def address_state(call: Call) -> WireResponse:
    """Answer `GET /ip/getIP`."""
    conduct = call.conduct
    if conduct.ip_answer == "error_array":  # seen with HTTP 200
        return json_response(200, [{"message": "Failed to fetch IP", "status": "ERROR"}])
    is_allowed = conduct.static_ip_allowed
    state: dict[str, Any] = {
        "primaryIP": _HERE if is_allowed else _REGISTERED_ELSEWHERE,
        "secondaryIP": "",
        "modifyDatePrimary": "0001-01-01",
        "modifyDateSecondary": "0001-01-01",
    }
    if conduct.ip_answer == "observed":
        state |= {
            "detectedIP": _HERE,
            "ipMatchStatus": "MATCH" if is_allowed else "MISMATCH",
            "ordersAllowed": is_allowed,
        }
    return json_response(200, state)


def _is_good_code(conduct: BrokerConduct, code: str, now_ns: int) -> bool:
    """Take the code of this step or the one before, as servers do; any where no secret is set."""
    if not conduct.login_totp_secret:
        return bool(code)
    secret = TotpSecret(conduct.login_totp_secret)
    return code in (secret.code(now_ns), secret.code(now_ns - seconds_to_ns(STEP_SECONDS)))


def _login_refused(text: str) -> WireResponse:
    return json_response(200, {"status": "error", "message": text})


def _issued_fields(broker: BrokerParts, client_id: str, token: str, now_ns: int) -> dict[str, Any]:
    expires_ns = broker.identity.expires_ns(token, broker.conduct.token_hours, now_ns)
    return {
        "dhanClientId": client_id,
        "dhanClientName": "SAMPLE USER",
        "dhanClientUcc": "ABCD1234",
        "givenPowerOfAttorney": True,
        "accessToken": token,
        "expiryTime": clock_text(expires_ns).replace(" ", "T") + ".000",
    }
