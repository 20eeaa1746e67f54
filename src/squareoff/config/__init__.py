"""Settings: read once at the start, checked completely, never changed."""

from squareoff.config.loading import (
    CONFIG_FILE_DEFAULT,
    load_settings,
    load_settings_without_secrets,
)
from squareoff.config.settings import Credentials, Settings

__all__ = [
    "CONFIG_FILE_DEFAULT",
    "Credentials",
    "Settings",
    "load_settings",
    "load_settings_without_secrets",
]
