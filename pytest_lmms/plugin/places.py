"""Where a run is going to write, looked at before anything is collected or loaded."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pytest_lmms.config import BY_NAME
from pytest_lmms.errors import LmmsError, UsageError, explain
from pytest_lmms.plugin.paths import may_hold_tasks
from pytest_lmms.plugin.session import session_of
from pytest_lmms.results.access import check_address
from pytest_lmms.results.remote import check, is_remote

FOLDERS = ("output_path", "cache", "video_cache")
"""Settings that name a folder which is made when it is missing."""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a place that nothing can be written to; creates nothing."""
    state = session_of(session.config)
    writes_nothing = session.config.option.collectonly or state.settings.dry_run or not may_hold_tasks(session.config)
    if state.is_worker or writes_nothing:
        return
    try:
        for name in FOLDERS:
            if (place := getattr(state.settings, name)) is not None:
                check_place(place, state.settings.sources.get(name, BY_NAME[name].option))
    except LmmsError as e:
        raise pytest.UsageError(str(e)) from e


def check_place(place: str, where: str) -> None:
    """Refuse an address that no library opens or that takes no files, and a folder that cannot be made or written to.

    Args:
        place: A folder, which need not exist, or an address.
        where: Who says so, for errors.

    Raises:
        UsageError: It is one of these.
    """
    if is_remote(place):
        check(place, where)
        check_address(place, where)
        return
    if not place.strip():
        raise UsageError(explain("an empty name", where=where, expected="a folder; . is the current one"))
    folder = Path(place).expanduser().absolute()
    try:
        os.lstat(folder)
    except OSError as e:
        if e.errno == errno.ENAMETOOLONG:
            raise UsageError(explain(f"{e.strerror}: {folder}", where=where, remedy="name another folder")) from e
    nearest = next(p for p in (folder, *folder.parents) if os.path.lexists(p))
    if not os.path.isdir(nearest):
        raise UsageError(explain(f"{nearest} is no folder", where=where, remedy="name another folder"))
    if not os.access(nearest, os.W_OK | os.X_OK):
        remedy = "name another folder, or change its permissions"
        raise UsageError(explain(f"{nearest} may not be written to", where=where, remedy=remedy))
