"""How videos are read, as the user asked: options become the environment variables that `media.video` reads.

Only what was typed or written in an ini file is set; what the environment says stays. Put back at the end.
"""

from __future__ import annotations

import os

import pytest

from pytest_lmms.plugin.session import session_of
from pytest_lmms.variables import Applied

VARIABLES = {
    "video_backend": "LMMS_VIDEO_DECODE_BACKEND",
    "video_cache": "LMMS_VIDEO_CACHE_DIR",
    "video_cache_mb": "LMMS_VIDEO_CACHE_MB",
}
_APPLIED = pytest.StashKey[Applied]()


def pytest_configure(config: pytest.Config) -> None:
    """Set the variables, before any video is opened."""
    settings = session_of(config).settings
    changes = {v: str(getattr(settings, name)) for name, v in VARIABLES.items() if name in settings.sources}
    if "LMMS_VIDEO_CACHE_DIR" in changes:
        changes["LMMS_VIDEO_CACHE_DIR"] = os.path.abspath(os.path.expanduser(changes["LMMS_VIDEO_CACHE_DIR"]))
    config.stash[_APPLIED] = Applied(changes)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Put everything back, for the next session of this process."""
    applied = config.stash.get(_APPLIED, None)
    if applied is not None:
        applied.restore()
