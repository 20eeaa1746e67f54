"""The names that users write settings under: in the environment, and as paths in the TOML file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from squareoff.config.fields import Address, Environment, Sensitive
from squareoff.config.settings import Settings

SECRET_PATHS = (
    "credentials",
    "api_token",
    "api_operate_token",
    "api_read_token",
    "alert_urls",
)
"""Where secrets live in `Settings`; the TOML file cannot set anything below these."""

FILE_SUFFIX = "_FILE"

_SECRET_WORDS = {
    "access_token": "DHAN_ACCESS_TOKEN or DHAN_ACCESS_TOKEN_FILE",
    "access_token_file": "DHAN_ACCESS_TOKEN_FILE",
    "client_id": "DHAN_CLIENT_ID",
    "pin": "DHAN_PIN or DHAN_PIN_FILE",
    "totp_secret": "DHAN_TOTP_SECRET or DHAN_TOTP_SECRET_FILE",
    "token": "SQUAREOFF_API_TOKEN or SQUAREOFF_API_TOKEN_FILE",
    "alert_urls": "SQUAREOFF_ALERT_URLS or SQUAREOFF_ALERT_URLS_FILE",
    "api_token": "SQUAREOFF_API_TOKEN or SQUAREOFF_API_TOKEN_FILE",
    "api_operate_token": "SQUAREOFF_API_OPERATE_TOKEN or SQUAREOFF_API_OPERATE_TOKEN_FILE",
    "api_read_token": "SQUAREOFF_API_READ_TOKEN or SQUAREOFF_API_READ_TOKEN_FILE",
}


@dataclass(frozen=True, slots=True)
class SettingName:
    """One setting: its path in `Settings`, its environment variable or None, and its field."""

    path: tuple[str, ...]
    environment: Environment | None
    is_sensitive: bool
    is_address: bool
    field: FieldInfo

    @property
    def is_in_toml(self) -> bool:
        """Say whether the TOML file may hold it."""
        return self.path[0] not in SECRET_PATHS


def setting_names(
    model: type[BaseModel] = Settings, above: tuple[str, ...] = ()
) -> Iterator[SettingName]:
    """Yield every setting, in the order in which they are written."""
    for name, field in model.model_fields.items():
        path = (*above, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_names(field.annotation, path)
            continue
        found = [entry for entry in field.metadata if isinstance(entry, Environment)]
        kinds = {type(entry) for entry in _metadata(field)}
        yield SettingName(
            path, found[0] if found else None, Sensitive in kinds, Address in kinds, field
        )


def secret_variable(key: str) -> str | None:
    """Return where a secret that stands under `key` in the TOML file belongs, None for others."""
    return _SECRET_WORDS.get(key)


def _metadata(field: FieldInfo) -> Iterator[Any]:
    """Yield a field's own metadata and that of its type, which a union hides (`Secret | None`)."""
    yield from field.metadata
    for part in getattr(field.annotation, "__args__", ()):
        yield from getattr(part, "__metadata__", ())
