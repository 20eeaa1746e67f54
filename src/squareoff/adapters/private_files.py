"""Keep what we write to ourselves, and find what others may read.

Answers for: the modes of files that hold secrets, positions or the journal. A file of another owner
is left to that owner: it is how a platform hands secrets in (docker, systemd).
"""

import os
import resource
import stat
from collections.abc import Iterable
from pathlib import Path

PRIVATE_UMASK = 0o077
OTHERS = 0o077
FOLDER_WRITABLE_BY_ALL = stat.S_IWOTH


def keep_to_ourselves() -> None:
    """Let this process write files for its owner alone, and leave no memory image when it dies."""
    os.umask(PRIVATE_UMASK)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def open_to_others(paths: Iterable[Path]) -> list[str]:
    """Return one line for each of our own files that others may read or write; none is opened."""
    return [line for path in paths for line in _file_lines(path)]


def folder_open_to_all(folder: Path) -> list[str]:
    """Return a line where anybody may replace the files of this folder."""
    mode = _own_mode(folder)
    if mode is None or not mode & FOLDER_WRITABLE_BY_ALL or mode & stat.S_ISVTX:
        return []
    return [f"{folder} can be written by everybody (mode {mode:04o}): chmod o-w {folder}"]


def _file_lines(path: Path) -> list[str]:
    mode = _own_mode(path)
    if mode is None or not mode & OTHERS or path.is_dir():  # whoever opens a folder says so
        return []
    return [f"{path} is open to others (mode {mode:04o}): chmod 600 {path}"]


def _own_mode(path: Path) -> int | None:
    """Return the mode of what is ours; None of what is not there, or not ours to change."""
    try:
        found = path.stat()
    except OSError:
        return None
    return stat.S_IMODE(found.st_mode) if found.st_uid == os.geteuid() else None
