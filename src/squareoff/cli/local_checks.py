"""The doctor looks at this machine: who may read files, who hears alarms, what room is left."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from squareoff.adapters.alerts import AppriseAlerts
from squareoff.adapters.private_files import folder_open_to_all
from squareoff.config import Settings
from squareoff.domain.errors import ConfigError

DISK_MEGABYTES_MIN = 256
"""A day's journal is some tens of megabytes; a full disk stops every exit."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_SQLITE = "sqlite:///"


def files(settings: Settings) -> tuple[bool, str]:
    """Say whether files that hold secrets or the journal are open to others, or their folder is."""
    loose = [str(path) for path in _private_files(settings) if _is_open_to_others(path)]
    if loose:
        return False, f"others may read {', '.join(loose)}: run `chmod 600 {' '.join(loose)}`"
    if _is_file(settings):
        replaceable = folder_open_to_all(_database_path(settings).parent)
        if replaceable:
            return False, replaceable[0]
    return True, "those with secrets and the journal are for their owner only"


def disk(settings: Settings) -> tuple[bool, str]:
    """Say whether the database has room, and a recording its place."""
    folder = Path.cwd()
    if _is_file(settings):
        folder = _nearest(_database_path(settings).resolve().parent)
    free = shutil.disk_usage(folder).free >> 20
    if free < DISK_MEGABYTES_MIN:
        return False, f"{free} MB are free at {folder}: make room, a full disk stops every exit"
    recordings = settings.recording.folder
    if recordings is not None and not os.access(_nearest(recordings.resolve()), os.W_OK):
        return False, f"recording.folder {recordings} cannot be written: nothing would be recorded"
    return True, f"{free} MB are free"


def alerts(settings: Settings) -> tuple[bool, str]:
    """Say who hears alarms; nothing is sent."""
    addresses = settings.alert_addresses()
    if not addresses:
        return True, "go to log and dashboard only: SQUAREOFF_ALERT_URLS names who shall hear them"
    for address in addresses:
        try:
            AppriseAlerts.check(address)
        except ConfigError as error:
            return False, f"{error}: see the Apprise page of that service"
    return True, f"go to {len(addresses)} address{'es' if len(addresses) > 1 else ''}"


def paper_prices(settings: Settings) -> tuple[bool, str]:
    """Say where the prices of paper mode come from."""
    ticks = settings.paper.ticks
    if not ticks:
        if settings.credentials.client_id is None:
            return False, (
                "there are none: name recorded ones in paper.ticks (`squareoff init --recorded` "
                "does), or set DHAN_CLIENT_ID and DHAN_ACCESS_TOKEN for the live feed"
            )
        return True, "come from the live feed"
    missing = [path for path in (each.partition("=")[2] for each in ticks) if not _exists(path)]
    if missing:
        return False, f"{missing[0]} of paper.ticks is not there"
    return True, f"come from {len(ticks)} recording{'s' if len(ticks) > 1 else ''}"


def _nearest(folder: Path) -> Path:
    """Return a folder that is there: the one that is missing would be made on the same disk."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _exists(path: str) -> bool:
    return Path(path.partition("#")[0]).is_file()


def _is_file(settings: Settings) -> bool:
    return settings.database_url.get_secret_value().startswith(_SQLITE)


def _database_path(settings: Settings) -> Path:
    return Path(settings.database_url.get_secret_value().removeprefix(_SQLITE))


def _private_files(settings: Settings) -> Iterator[Path]:
    if _is_file(settings):
        path = _database_path(settings)
        yield from (Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm"))
    yield settings.api.token_path
    if settings.credentials.access_token_file is not None:
        yield settings.credentials.access_token_file


def _is_open_to_others(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # not there yet; the check that needs it says so
    return stat.S_ISREG(mode) and bool(mode & _OTHERS)
