"""A disk that fills up soon."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

MOUNT, UNMOUNT = shutil.which("mount") or "mount", shutil.which("umount") or "umount"


class SmallDisk:
    """A file system in memory, at a folder of its own. Needs the right to mount."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self, size_bytes: int) -> None:
        """Make it, of a size."""
        self.path.mkdir(parents=True, exist_ok=True)
        subprocess.run([MOUNT, "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", self.path], check=True)

    def grow(self) -> None:
        """Make room."""
        subprocess.run([MOUNT, "-o", "remount,size=64m", self.path], check=True)

    def remove(self) -> None:
        """Forget all that is on it; does nothing where it was never made."""
        if self.path.is_mount():
            subprocess.run([UNMOUNT, "-l", self.path], check=True)


def can_mount(folder: Path) -> bool:
    """Whether a small disk can be made here."""
    disk = SmallDisk(folder / "tried")
    try:
        disk.mount(65536)
        disk.remove()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True
