"""Where a process listens, by what the system says (Linux)."""

import os
from pathlib import Path

_LISTENING = "0A"
_TABLES = ("tcp", "tcp6")


def listening_addresses(process_id: int) -> set[tuple[str, int]]:
    """Return the address, as the kernel writes it in hexadecimal, and the port of each socket."""
    own = {os.readlink(link) for link in Path(f"/proc/{process_id}/fd").iterdir()}
    found = set()
    for table in _TABLES:
        lines = Path(f"/proc/{process_id}/net/{table}").read_text(encoding="ascii").splitlines()
        for row in (line.split() for line in lines[1:]):
            if row[3] == _LISTENING and f"socket:[{row[9]}]" in own:
                address, _, port = row[1].partition(":")
                found.add((address, int(port, 16)))
    return found
