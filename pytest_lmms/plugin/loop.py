"""The main loop of a single process: documents of one task go through pytest's item hooks together.

pytest wraps every item in half a dozen hooks that catch warnings, arm time limits and prepare assertions. Around a
document, whose work happens on other threads, they cost more than the document (measured: 70 microseconds each), so
here they go around a stretch of documents. Where anybody else looks at single items, pytest's own loop runs.
"""

from __future__ import annotations

import pytest

from pytest_lmms.plugin.items import DocumentItem
from pytest_lmms.plugin.session import session_of

MAX_STRETCH = 256
"""Documents that share one round of pytest's item hooks."""
KNOWN = ("_pytest.", "xdist.", "pytest_lmms.")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run all items as pytest does, documents in stretches; leave it to pytest where that could be noticed."""
    config = session.config
    if not any(isinstance(item, DocumentItem) for item in session.items) or _is_watched(config):
        return None
    if config.option.collectonly or (session.testsfailed and not config.option.continue_on_collection_errors):
        return None
    items = session.items
    start = 0
    while start < len(items):
        item = items[start]
        end = _end_of_stretch(items, start)
        if isinstance(item, DocumentItem):
            item.stretch = items[start:end]
        config.hook.pytest_runtest_protocol(item=item, nextitem=items[end] if end < len(items) else None)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        start = end
    return True


def _is_watched(config: pytest.Config) -> bool:
    """Whether somebody else runs the items, or wants to see each of them run."""
    if session_of(config).is_worker or float(config.getini("faulthandler_timeout") or 0) > 0:
        return True
    implementations = config.hook.pytest_runtest_protocol.get_hookimpls()
    return any(not f"{i.function.__module__}.".startswith(KNOWN) for i in implementations)


def _end_of_stretch(items: list[pytest.Item], start: int) -> int:
    """Where the documents that follow an item in the same task end; the next item's place for an ordinary test."""
    end = start + 1
    if not isinstance(items[start], DocumentItem):
        return end
    parent, last = items[start].parent, min(len(items), start + MAX_STRETCH)
    while end < last and items[end].parent is parent and isinstance(items[end], DocumentItem):
        end += 1
    return end
