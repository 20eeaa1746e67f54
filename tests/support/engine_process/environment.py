"""Environments for `squareoff` as a process: none of ours, or an engine against a simulator."""

import os

SIMULATOR_CLIENT_ID = "1100000001"
"""The account that every simulator knows."""

SIMULATOR_TOKEN = "canary-access-token-7f3a"


def clean_environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without our settings, with these added."""
    ours = ("SQUAREOFF_", "DHAN_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | changes


def simulator_environment(
    port: int, client_id: str = SIMULATOR_CLIENT_ID, token: str = SIMULATOR_TOKEN
) -> dict[str, str]:
    """Return the settings that point an engine at a simulator, live."""
    root = f"127.0.0.1:{port}"
    return {
        "DHAN_REST_URL": f"http://{root}/v2",
        "DHAN_ORDER_UPDATE_URL": f"ws://{root}/order-update",
        "DHAN_MARKET_FEED_URL": f"ws://{root}/feed",
        "SQUAREOFF_INSTRUMENTS": f"http://{root}/instruments.csv",
        "SQUAREOFF_MODE": "live",
        "SQUAREOFF_SESSION": "always",
        "SQUAREOFF_API_PORT": "0",
        "DHAN_CLIENT_ID": client_id,
        "DHAN_ACCESS_TOKEN": token,
    }
