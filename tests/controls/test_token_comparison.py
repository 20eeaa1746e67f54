"""How tokens are compared: control T6 of docs/security.md, by steps and not by clocks.

Clocks have their say in a long run by hand, whose report is docs/evidence/token-timing.md:

    PYTHONPATH=src:tests/support python -m token_timing --samples 100000
"""

import ast
import gc
import hmac
import inspect
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from api_rig import OPERATE_TOKEN, READ_TOKEN, TOKEN, ApiRig
from secret_comparisons import leaking_comparisons
from squareoff.web.roles import Role, Tokens
from token_timing import LENGTHS, guess, is_separated, rank_correlation_z
from token_timing.__main__ import leaking
from token_timing.sampling import TOKEN as TIMED

WEB = Path(__file__).resolve().parents[2] / "src" / "squareoff" / "web"
TOKEN_OF_ROLE = {Role.READ: READ_TOKEN, Role.OPERATE: OPERATE_TOKEN, Role.ADMIN: TOKEN}
OPEN_WORDS = {"scheme.lower() == SCHEME"}
"""Comparisons of what stands beside a token: the word `Bearer` is no secret."""


def test_t06_nothing_compares_a_secret_by_equality() -> None:
    """In all of the API's code no token and no hash of one meets ==, `in` or a search."""
    found = {
        text
        for path in sorted(WEB.rglob("*.py"))
        for text in leaking_comparisons(path.read_text(encoding="utf-8"))
    }

    assert found == OPEN_WORDS


@pytest.mark.parametrize(
    "body",
    [
        "return given_token == expected",
        "return header['x'] in self._hashes",
        "first = _hash_of(given)\n    second = first\n    return second != given",
        "for _, held in self._hashes:\n        if held == given:\n            return True",
        "return authorization.startswith(known)",
        "match token:\n        case 'x':\n            return 1",
        "return any(each == given for each in self.tokens)",
    ],
)
def test_t06_a_comparison_that_leaks_is_found(body: str) -> None:
    """By whatever name the secret goes."""
    assert leaking_comparisons(f"def f(self, given, known, header):\n    {body}\n") != []


def test_t06_the_comparison_is_that_of_the_standard_library() -> None:
    """What is known of a token is read in one loop, and there by hmac.compare_digest alone."""
    tree = ast.parse((WEB / "roles.py").read_text(encoding="utf-8"))
    reads = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "_hashes"
        and isinstance(node.ctx, ast.Load)
    ]  # fmt: skip
    (loop,) = [node for node in ast.walk(tree) if isinstance(node, ast.For) and node.iter in reads]
    assert isinstance(loop.target, ast.Tuple)
    known = ast.unparse(loop.target.elts[1])
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == known]
    compared = [
        argument for node in ast.walk(loop)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "hmac.compare_digest"
        for argument in node.args
    ]  # fmt: skip

    assert len(reads) == 1
    assert [use for use in uses if use not in (*compared, *loop.target.elts)] == []
    assert len([use for use in uses if use in compared]) == 1
    assert inspect.isbuiltin(hmac.compare_digest)


def test_t06_every_token_takes_the_same_way(rig: ApiRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any header is hashed and compared with every token; wrong ones are answered alike."""
    compared: list[int] = []
    real = hmac.compare_digest

    def counted(first: bytes, second: bytes) -> bool:
        compared.append(len(first))
        return real(first, second)

    monkeypatch.setattr("squareoff.web.roles.hmac.compare_digest", counted)
    tokens = Tokens(TOKEN_OF_ROLE)
    ways = []
    for wrong in ("", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN * 9):
        compared.clear()
        assert tokens.role_of(wrong) is None
        ways.append(tuple(compared))

    for role, right in TOKEN_OF_ROLE.items():
        compared.clear()
        assert tokens.role_of(f"Bearer {right}") is role
        ways.append(tuple(compared))

    assert set(ways) == {(32, 32, 32)}
    texts = {
        rig.get("/status", headers={"Authorization": wrong}).text
        for wrong in ("", "Bearer x", f"Bearer {TOKEN[:-1]}")
    }
    assert len(texts) == 1


def test_t06_a_refusal_takes_as_many_steps_however_much_is_right() -> None:
    """From no right character to all but the last, the interpreter does the same; a comparison
    that leaks is told by its steps."""
    tokens, chance = Tokens({Role.ADMIN: TIMED}), random.Random(1)
    guesses = [guess(length, chance) for length in LENGTHS]
    engine = [steps_of(tokens.role_of, f"Bearer {given}") for given in guesses]
    careless = [steps_of(leaking, given) for given in guesses]

    assert len(set(engine)) == 1
    assert engine[0] > 0
    assert careless == sorted(set(careless))


def steps_of(work: Callable[[str], object], given: str) -> int:
    """Return how many instructions of Python a call takes."""
    steps = 0

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return count

    before = sys.gettrace()
    gc.disable()  # what it finds may end with code of others
    sys.settrace(count)
    try:
        work(given)
    finally:
        sys.settrace(before)
        gc.enable()
    return steps


def test_t06_the_statistic_tells_a_leak_from_a_noisy_machine() -> None:
    """Three nanoseconds in three hundred are seen under noise of as many hundreds; noise is not,
    nor what befalls one half of the run alone."""
    chance = random.Random(7)
    lengths = [chance.choice(LENGTHS) for _ in range(20_000)]
    noise = [300 + round(chance.expovariate(1 / 300)) for _ in lengths]
    leaking_times = [(n, time + n) for n, time in zip(lengths, noise, strict=True)]
    quiet = list(zip(lengths, noise, strict=True))
    half = leaking_times[:10_000] + quiet[10_000:]

    assert is_separated(leaking_times)
    assert is_separated([(n, 2_000 - time) for n, time in leaking_times])
    assert not is_separated(quiet)
    assert not is_separated(half)
    assert rank_correlation_z([(1, 5)] * 10) == 0.0
