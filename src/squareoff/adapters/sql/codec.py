"""Journal facts and rule sets as JSON text, and back.

JSON keys are the field names, decimals are strings, enums their values, keys sorted: the same fact
gives the same text for ever, since the journal's hash chain is made over it.
"""

from typing import Any

import msgspec

from squareoff.core.state.facts import FACT_TYPES, Fact
from squareoff.domain.errors import StoreError
from squareoff.domain.rules import RuleSet

_ENCODER = msgspec.json.Encoder(order="sorted")
_FACT_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(fact_type) for kind, fact_type in FACT_TYPES.items()
}
_RULES_DECODER = msgspec.json.Decoder(RuleSet)


def encode_fact(fact: Fact) -> str:
    """Return the fact's fields as a JSON object; the kind is not part of it.

    Raises:
        StoreError: the fact holds text that is no Unicode or a number beyond 64 bits.
    """
    return _encode(fact)


def decode_fact(kind: str, text: str) -> Fact:
    """Return the fact that `encode_fact` wrote under this kind.

    Raises:
        StoreError: the kind is unknown (a newer squareoff wrote it), or the text does not fit it.
    """
    decoder = _FACT_DECODERS.get(kind)
    if decoder is None:
        raise StoreError(
            f"the journal holds a fact of the unknown kind {kind!r}: it was written by a newer "
            "squareoff, or the database is damaged; run the version that wrote it"
        )
    try:
        fact: Fact = decoder.decode(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise StoreError(f"a journal fact of the kind {kind} cannot be read: {error}") from error
    return fact


def encode_rules(rules: RuleSet) -> str:
    """Return the rule set as a JSON object."""
    return _encode(rules)


def decode_rules(text: str) -> RuleSet:
    """Return the rule set that `encode_rules` wrote.

    Raises:
        StoreError: the text is no rule set.
    """
    try:
        return _RULES_DECODER.decode(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise StoreError(f"stored rules cannot be read: {error}") from error


def _encode(value: object) -> str:
    try:
        return _ENCODER.encode(value).decode()
    except (msgspec.MsgspecError, ValueError, OverflowError, TypeError) as error:
        kind = type(value).__name__
        raise StoreError(f"{kind} cannot be written as JSON: {error}") from error
