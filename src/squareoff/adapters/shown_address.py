"""Say where an address leads, and nothing else of it: user, path and query may hold a secret."""

from urllib.parse import urlsplit


def shown_address(address: str) -> str:
    """Return scheme, host and port, `https://host:443`; "" where the address names no host."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return ""
    if not parts.scheme or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")
