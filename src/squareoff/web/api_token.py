"""The API's own token: made at the first start, kept in a file that only its owner can read.

Invariant: the token is in the file before the path is told to anyone, and never in a message.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from squareoff.config import Settings
from squareoff.config.checks import API_TOKEN_LENGTH_MIN
from squareoff.domain.errors import ConfigError
from squareoff.web.roles import Role

TOKEN_BYTES = 32
FILE_MODE = 0o600
FILE_BYTES_MAX = 4_096


def api_token(settings: Settings) -> tuple[str, Path | None]:
    """Return the token of the API, and the file it was made into, None where it was given.

    Raises:
        ConfigError: the file cannot be written or read, or others may read it.
    """
    if settings.api_token is not None:
        return settings.api_token.get_secret_value(), None
    path = settings.api.token_path
    if not path.exists():
        _make(path)
    return read_token(path), path


def role_tokens(settings: Settings, admin_token: str) -> dict[Role, str]:
    """Return every token of the API by its role."""
    tokens = {Role.ADMIN: admin_token}
    for role, given in (
        (Role.OPERATE, settings.api_operate_token),
        (Role.READ, settings.api_read_token),
    ):
        if given is not None:
            tokens[role] = given.get_secret_value()
    return tokens


def known_api_token(settings: Settings) -> str:
    """Return the token of an engine that was started before; makes none.

    Raises:
        ConfigError: there is no token.
    """
    if settings.api_token is not None:
        return settings.api_token.get_secret_value()
    path = settings.api.token_path
    if not path.exists():
        raise ConfigError(
            f"api.token_path: {path} does not exist: the engine makes it at its first start; "
            "run this where it runs, or set SQUAREOFF_API_TOKEN"
        )
    return read_token(path)


def read_token(path: Path) -> str:
    """Return the token in a file; raises ConfigError where it is not safe or not there."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(FILE_BYTES_MAX)
        token = raw.decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it holds no token"
        raise ConfigError(f"api.token_path: {path} could not be read: {reason}") from error
    if mode & 0o077:
        raise ConfigError(
            f"api.token_path: {path} can be read by others (mode {mode:04o}): remove it, so that a "
            "new token is made, or set its mode to 0600"
        )
    if len(token) < API_TOKEN_LENGTH_MIN or not token.isprintable():
        raise ConfigError(
            f"api.token_path: {path} holds no token of {API_TOKEN_LENGTH_MIN} printable characters "
            "or more: remove it, so that a new one is made"
        )
    return token


def _make(path: Path) -> None:
    """Write a new token so that no one ever sees half a file; whoever comes first wins."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(TOKEN_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    except OSError as error:
        raise ConfigError(
            f"api.token_path: {path} could not be made: {error.strerror or error}"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
