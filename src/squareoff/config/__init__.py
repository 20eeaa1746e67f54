"""Settings: read once at the start, checked completely, never changed."""

from squareoff.config.loading import CONFIG_FILE_DEFAULT, load_settings
from squareoff.config.settings import Credentials, Settings

__all__ = ["CONFIG_FILE_DEFAULT", "Credentials", "Settings", "load_settings"]
