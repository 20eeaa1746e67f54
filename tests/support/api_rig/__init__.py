"""A whole engine behind its real API on a loopback port, for tests of the API and command line."""

from api_rig.engine import INSTRUMENT
from api_rig.rig import (
    OPERATE_TOKEN,
    READ_TOKEN,
    TOKEN,
    TRAIL_KINDS,
    Answer,
    ApiRig,
    position_body,
)

__all__ = [
    "INSTRUMENT",
    "OPERATE_TOKEN",
    "READ_TOKEN",
    "TOKEN",
    "TRAIL_KINDS",
    "Answer",
    "ApiRig",
    "position_body",
]
