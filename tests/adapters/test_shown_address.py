"""An address is shown by where it leads, never by what it carries."""

import pytest

from squareoff.adapters.shown_address import shown_address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:canary@host.example:8443/canary?token=canary#canary", "https://host.example:8443"),
        ("http://127.0.0.1/x.csv", "http://127.0.0.1"),
        ("wss://[::1]:9/feed", "wss://[::1]:9"),
        ("user:canary@host/path", ""),
        ("https:/user:canary@host", ""),
        ("https://host:canary/", ""),
        ("https://[canary/", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_scheme_and_host_are_all_that_is_shown(address: str, shown: str) -> None:
    """What cannot be read as an address is not shown at all."""
    assert shown_address(address) == shown
