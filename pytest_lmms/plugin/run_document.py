"""The hooks that run documents. The work is `runner`'s, which is imported with the first one."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lmms.errors import LmmsError, UsageError, explain
from pytest_lmms.plugin import fastpath
from pytest_lmms.plugin.items import DocumentItem, is_document
from pytest_lmms.plugin.recording import recorder_of
from pytest_lmms.plugin.session import session_of

if TYPE_CHECKING:
    from pytest_lmms.plugin.runner import Runner

_KEY = pytest.StashKey["Runner"]()


def runner_of(config: pytest.Config) -> Runner:
    """The runner of this process; made at the first document.

    Raises:
        UsageError: Something was found to be wrong before it.
    """
    runner = config.stash.get(_KEY, None)
    if runner is None:
        from pytest_lmms.plugin.runner import Runner

        state = session_of(config)
        if state.usage_error is not None:
            raise UsageError(state.usage_error)
        runner = config.stash[_KEY] = Runner(state, recorder_of(config))
    return runner


def cannot_write(error: OSError, folder: Path) -> str:
    """What to tell where a run folder cannot be written to."""
    return explain(
        error.strerror or str(error),
        where=str(folder),
        expected="a run folder that can be written to",
        remedy="make room, or name another place with --lmms-output-path",
    )


def known_runner(config: pytest.Config) -> Runner | None:
    """The runner of this process, when it has run a document."""
    return config.stash.get(_KEY, None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Take documents, with those that `loop` put together with them; leave everything else to pytest."""
    if not isinstance(item, DocumentItem):
        return None
    session = item.session
    try:
        runner = runner_of(item.config)
    except (LmmsError, OSError) as e:
        state = session_of(item.config)
        state.usage_error = str(e) if isinstance(e, LmmsError) else cannot_write(e, state.run_path)
        session.shouldfail = "usage error"
        return True
    following: list[Any] = list(item.stretch[1:])
    for document, next_item in zip([item, *following], [*following, nextitem], strict=True):
        runner.run(document, next_item)
        if session.shouldfail or session.shouldstop:
            break
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Write down that a document could not be asked, when its fixtures failed on pytest's own path."""
    report = yield
    if call.when == "setup" and call.excinfo is not None and report.failed and is_document(item):
        from pytest_lmms.plugin.ownpath import record_setup_failure

        record_setup_failure(item, call.excinfo.value, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[Any]:
    """Stop engines whichever way the loop ends, and turn a usage error found while running into exit code 4."""
    state = session_of(session.config)
    try:
        return (yield)
    finally:
        runner = known_runner(session.config)
        if runner is not None:
            with contextlib.suppress(Exception):
                fastpath.tear_down(session, None)
            runner.close()
        if state.usage_error is not None:
            text = state.secrets.hide(state.usage_error)
            if state.is_worker:
                session.config.workeroutput["lmms_usage_error"] = text  # type: ignore[attr-defined]
            else:
                raise pytest.UsageError(text)
