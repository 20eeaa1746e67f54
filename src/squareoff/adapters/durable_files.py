"""Make what was written to a file, or a change of a folder's names, outlast a loss of power."""

import os
from pathlib import Path


def sync_path(path: Path) -> None:
    """Flush a file, or a folder's list of names, to the disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
