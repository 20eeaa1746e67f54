"""One JSON call over loopback HTTP."""

import json
import urllib.error
import urllib.request
from typing import Any

CALL_SECONDS_MAX = 15.0


class Refused(Exception):
    """The call was answered with an error status; carries it and the body."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status = status
        self.body = body


def call(method: str, url: str, body: Any = None, token: str | None = None) -> Any:
    """Make one call and return the decoded answer.

    Raises:
        Refused: an error status.
        OSError: nobody answers.
    """
    headers = {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS_MAX) as response:
            text = response.read()
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode(errors="replace")) from error
    return json.loads(text) if text else None
