"""Guesses of which more and more is right, in random order, and how long each took to refuse."""

import gc
import random
import secrets
import time
from collections.abc import Callable

Sample = tuple[int, int]
"""How many characters of the guess were right, and the nanoseconds that its refusal took."""

TOKEN = secrets.token_urlsafe(32)
"""A token of the length and the characters that the engine makes; new in every run."""

LENGTHS = (0, 1, 8, 16, 24, 32, len(TOKEN) - 1)
"""So many characters of a guess are right."""

_OTHERS = "~!*()"
"""No character of a token."""


def guess(length: int, chance: random.Random) -> str:
    """Return a new guess as long as the token, of which the first `length` characters are right."""
    wrong = "".join(chance.choices(_OTHERS, k=len(TOKEN) - length))
    return TOKEN[:length] + wrong


def samples_of(refuse: Callable[[str], object], count: int, seed: int) -> list[Sample]:
    """Time so many refusals.

    The order is drawn, so whatever else the machine does befalls all guesses alike: without a leak
    the ranks of the times have no bond with the lengths, however noisy they are. All guesses are
    made before the first is timed, for how much of one had to be drawn shows in what follows.
    """
    chance = random.Random(seed)
    lengths = chance.choices(LENGTHS, k=count)
    guesses = [guess(length, chance) for length in lengths]
    times: list[int] = []
    gc.collect()
    gc.disable()
    try:
        for given in guesses:
            begun = time.perf_counter_ns()
            refuse(given)
            times.append(time.perf_counter_ns() - begun)
    finally:
        gc.enable()
    return list(zip(lengths, times, strict=True))
