"""With `--json` a refusal is one JSON object on standard output, in the shape of the API's errors.

A command that has shown its answer and refuses because of it (`exit-all` with something left) says
no more there: a script reads one object.
"""

import json
from collections.abc import Sequence

from squareoff.cli.api_client import CommandRefused, EngineAway
from squareoff.cli.output import json_shown
from squareoff.domain.errors import ConfigError, SquareoffError
from squareoff.web.error_shape import error_body

MISUSED_CODE = "misused"


def wants_json(words: Sequence[str]) -> bool:
    """Say whether these words of a command line ask for JSON, whatever else is wrong with them."""
    return "--json" in words


def tell_refusal(error: SquareoffError) -> None:
    """Print why a command was refused, unless its answer says so."""
    match error:
        case CommandRefused(error_code=str(code)):
            _tell(error_body(code, error.error_message, error.details))
        case EngineAway():
            _tell(error_body("engine_away", str(error)))
        case ConfigError():
            _tell(error_body("settings_at_fault", str(error), {"faults": error.faults}))
        case _:
            _tell(error_body("refused", str(error)))


def tell_misuse(message: str) -> None:
    """Print what is wrong with the words of a command."""
    _tell(error_body(MISUSED_CODE, message))


def _tell(body: dict[str, object]) -> None:
    if not json_shown.is_any:
        print(json.dumps(body), flush=True)
