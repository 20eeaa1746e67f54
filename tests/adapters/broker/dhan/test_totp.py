"""One-time codes, by the vectors of the standard."""

import base64

import pytest

from squareoff.adapters.broker.dhan.totp import TotpSecret

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
RFC_6238_SHA1 = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}


@pytest.mark.parametrize(("seconds", "code"), RFC_6238_SHA1.items())
def test_the_vectors_of_rfc_6238(seconds: int, code: str) -> None:
    """Appendix B of RFC 6238 (SHA-1, 8 digits); 6 digits are the last six of them."""
    secret = TotpSecret(RFC_SECRET)

    assert secret.code(seconds * 10**9, digits=8) == code
    assert secret.code(seconds * 10**9) == code[-6:]


def test_a_code_holds_for_half_a_minute() -> None:
    """The code changes at each full 30 s and nowhere else."""
    secret = TotpSecret(RFC_SECRET)
    codes = [secret.code(ns) for ns in (60 * 10**9, 90 * 10**9 - 1, 90 * 10**9)]

    assert codes[0] == codes[1] != codes[2]


def test_spelling_does_not_matter() -> None:
    """Secrets are shown in groups, in small letters, with or without padding."""
    plain, spelled = "JBSWY3DPEHPK3PXP", "jbsw y3dp-ehpk 3pxp"

    assert TotpSecret(plain).code(0) == TotpSecret(spelled).code(0)


@pytest.mark.parametrize("text", ["", "JBSWY3DP", "not base32 at all!", "0000000000000000"])
def test_what_is_no_secret_is_refused_without_being_shown(text: str) -> None:
    """Too short or not base32: the message says what it must be, not what it was."""
    with pytest.raises(ValueError, match="base32") as caught:
        TotpSecret(text)

    assert not text or text not in str(caught.value)


def test_a_secret_is_not_in_its_repr() -> None:
    """A secret that is printed by mistake tells nothing."""
    assert RFC_SECRET not in repr(TotpSecret(RFC_SECRET))
    assert "12345678901234567890" not in repr(TotpSecret(RFC_SECRET))
