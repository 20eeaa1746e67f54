"""The simulator in a thread."""

import socket
from collections.abc import Callable
from typing import Any

import pytest


def test_it_tells_its_addresses_and_stops(make_server: Callable[..., Any]) -> None:
    """A free port is taken and told, and nobody listens after the stop."""
    sim = make_server()
    assert sim.rest_url == f"http://127.0.0.1:{sim.port}/v2"
    assert (sim.feed_url[:3], sim.order_update_url[:3]) == ("ws:", "ws:")

    sim.stop()

    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", sim.port)) != 0


def test_a_taken_port_is_told_to_the_caller(make_server: Callable[..., Any]) -> None:
    """A start that fails raises in the caller's thread."""
    sim = make_server()

    with pytest.raises(OSError, match="address"):
        make_server(port=sim.port)
