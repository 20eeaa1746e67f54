"""Canaries: what stands in for the secrets of an engine under rehearsal, and the look for them.

Invariant: every one of them holds `MARK`, in one case or the other, so one look finds any.
"""

from pathlib import Path

MARK = "canary7f3a"
API_TOKEN = f"{MARK}-admin-token"
_CHUNK_BYTES = 1 << 20


def access_token_of(client_id: str) -> str:
    """Return the broker's token of an account."""
    return f"{MARK}-token-of-{client_id}"


def secrets_of(client_id: str) -> dict[str, str]:
    """Return the variables of every secret that an engine under rehearsal has a use for."""
    return {
        "DHAN_ACCESS_TOKEN": access_token_of(client_id),
        "DHAN_PIN": f"{MARK}-pin",
        "DHAN_TOTP_SECRET": f"{MARK.upper()}CANARY",  # the alphabet of base32
        "SQUAREOFF_API_TOKEN": API_TOKEN,
        "SQUAREOFF_API_OPERATE_TOKEN": f"{MARK}-operate-token",
        "SQUAREOFF_API_READ_TOKEN": f"{MARK}-read-token",
    }


def holds_canary(text: bytes) -> bool:
    """Say whether a canary stands there."""
    return MARK.encode() in text.lower()


def files_with_canaries(folder: Path, *, but: str) -> list[str]:
    """Return the names of the files below a folder that hold a canary; `but` is not looked at."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != but)
    return [path.relative_to(folder).as_posix() for path in files if _file_holds_canary(path)]


def _file_holds_canary(path: Path) -> bool:
    before = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if holds_canary(before + chunk):
                return True
            before = chunk[-len(MARK) :]
    return False
