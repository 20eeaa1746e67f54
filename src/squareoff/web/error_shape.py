"""The one shape of every error, and the refusals of the API itself.

Apart from the web server's libraries, which commands that ask a running engine do without.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from squareoff.domain.errors import FieldFault, SquareoffError


class ApiError(SquareoffError):
    """A refusal of the API itself: `status` is the HTTP status."""

    def __init__(
        self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = dict(details or {})


def error_body(
    code: str, message: str, details: Mapping[str, Any] | None = None
) -> dict[str, object]:
    """Return an error in the one shape."""
    return {
        "ok": False,
        "error": {"code": code, "message": message, "details": dict(details or {})},
    }


def fault_details(faults: Sequence[FieldFault]) -> dict[str, Any]:
    """Return the details of an input's faults; `field` is the first one's."""
    return {
        "field": faults[0].field,
        "faults": [{"field": fault.field, "message": fault.message} for fault in faults],
    }
