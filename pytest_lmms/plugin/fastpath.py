"""Whether a task's documents may take our own short protocol, or must take pytest's three phases.

The short one sends one report a document and fills fixtures once a task. It steps aside when anything in the session
could see the difference. All private names of pytest that the plugin needs are used here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lmms.errors import LmmsError, install_hint

if TYPE_CHECKING:
    from pytest_lmms.plugin.items import TaskFile

PHASE_HOOKS = (
    "pytest_runtest_setup",
    "pytest_runtest_call",
    "pytest_runtest_teardown",
    "pytest_runtest_makereport",
    "pytest_pyfunc_call",
)
HARMLESS = (
    "_pytest.", "xdist.", "pytest_lmms.", "pytest_timeout.", "_hypothesis_pytestplugin.", "anyio.", "pytest_asyncio.",
    "pytest_cov.", "pytest_mock.", "schemathesis.",
)  # fmt: skip
"""Modules whose implementations of those hooks do nothing that a document could miss."""
MARKS = ("skip", "skipif", "xfail", "usefixtures", "flaky")


def obstacle(task_file: TaskFile) -> str | None:
    """Who or what keeps this task's documents from the short protocol; None when nothing does."""
    option = task_file.config.option
    for name, typed in (("usepdb", "--pdb"), ("trace", "--trace"), ("setupshow", "--setup-show"),
                        ("setuponly", "--setup-only"), ("setupplan", "--setup-plan")):  # fmt: skip
        if getattr(option, name, False):
            return typed
    for mark in task_file.iter_markers():
        if mark.name in MARKS:
            return f"mark {mark.name}"
    hooks = task_file.ihook
    for name in PHASE_HOOKS:
        for implementation in getattr(hooks, name).get_hookimpls():
            module = getattr(implementation.function, "__module__", "") or ""
            if not f"{module}.".startswith(HARMLESS):
                return f"{name} of {implementation.plugin_name}"
    for implementation in hooks.pytest_runtest_protocol.get_hookimpls():
        module = getattr(implementation.function, "__module__", "") or ""
        if not f"{module}.".startswith((*HARMLESS, "pytest_rerunfailures")):
            return f"pytest_runtest_protocol of {implementation.plugin_name}"
        if module.startswith("pytest_rerunfailures") and getattr(option, "reruns", None):
            return "--reruns"
    closure = fixture_closure(task_file)
    for name, definitions in closure.items():
        if definitions and definitions[-1].scope == "function":
            return f"function-scoped autouse fixture {name}"
    return None


def _probe(lmms_model: Any) -> None:
    """Never called; its parameter makes pytest fill the fixture."""


def probe(task_file: TaskFile) -> pytest.Function:
    """An item that stands for a whole task while its fixtures are filled."""
    known = getattr(task_file, "lmms_probe", None)
    if known is None:
        known = pytest.Function.from_parent(task_file, name=task_file.task.name, callobj=_probe)
        task_file.lmms_probe = known  # type: ignore[attr-defined]
    return known


def fixture_closure(task_file: TaskFile) -> dict[str, Any]:
    """Name -> definitions of every fixture that a document of this task gets, autouse ones included."""
    return dict(probe(task_file)._fixtureinfo.name2fixturedefs)


def is_own_fixture(task_file: TaskFile, fixture: Any) -> bool:
    """Whether the fixture `lmms_model` that this task gets is the given one, and not an overriding one."""
    definitions = fixture_closure(task_file).get("lmms_model", ())
    return bool(definitions) and definitions[-1].func is getattr(fixture, "__wrapped__", fixture)


class FixtureFailed(Exception):
    """A fixture of a task raised; the message names it, and where."""


def set_up(task_file: TaskFile) -> Any:
    """Fill the fixtures of a task and return the model.

    Raises:
        FixtureFailed: A fixture raised an ordinary exception.
        LmmsError: One of ours, from a fixture, as it is.
        BaseException: What ends a session, as it is.
    """
    item = probe(task_file)
    if not getattr(item, "_request", None):
        item._initrequest()
    try:
        task_file.session._setupstate.setup(item)
    except (LmmsError, pytest.skip.Exception):
        raise
    except Exception as e:
        raise FixtureFailed(_describe(e)) from e
    return item.funcargs["lmms_model"]


def _describe(error: Exception) -> str:
    """Name the innermost fixture that an exception came through, and the line it was raised at."""
    name, trace = None, error.__traceback__
    while trace is not None:
        variables = trace.tb_frame.f_locals
        if trace.tb_frame.f_code.co_name == "execute" and hasattr(variables.get("self"), "argname"):
            name = variables["self"].argname
        last, trace = trace, trace.tb_next
    place = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if error.__traceback__ else "unknown place"
    who = f"fixture {name}" if name else "filling the fixtures of this task"
    hint = install_hint(error)
    return "\n  ".join([f"{who} failed: {type(error).__name__}: {error}", f"at {place}", *([hint] if hint else [])])


def give_document_id(item: pytest.Function) -> None:
    """Let a function's id be the same as that of the text: pytest 9.2 keeps an id's parts, and compares them."""
    known: Any = getattr(item, "_id", None)
    if hasattr(known, "parse"):
        item._id = known.parse(str(known))


def tear_down(session: pytest.Session, next_item: pytest.Item | None) -> None:
    """Tear down what the next item does not share."""
    session._setupstate.teardown_exact(next_item)


def before_model_goes(request: Any, function: Any) -> None:
    """Call a function before the fixture `lmms_model` of this request is torn down."""
    request._get_active_fixturedef("lmms_model").addfinalizer(function)


def same_fixtures(a: TaskFile, b: TaskFile) -> bool:
    """Whether two tasks get the same fixtures, all of session scope, so that they may be in flight together."""
    first, second = fixture_closure(a), fixture_closure(b)
    return first.keys() == second.keys() and all(
        definitions[-1] is second[name][-1] and definitions[-1].scope == "session"
        for name, definitions in first.items()
        if definitions
    )


def report_sections(item: pytest.Item) -> list[tuple[str, str, str]]:
    """What was captured while an item ran (phase, name, text): other plugins read it here, and not from the report."""
    return item._report_sections


def change_errors_of_finalizers(fixture: Any, change: Callable[[BaseException], BaseException]) -> None:
    """Have what a fixture has to do in the end raise other errors, before plugins that put themselves around it."""

    def changed(finalizer: Callable[[], object]) -> Callable[[], object]:
        @functools.wraps(finalizer)
        def finish() -> None:
            try:
                finalizer()
            except BaseException as error:
                shown = change(error)
                if shown is error:
                    raise
                raise shown from None

        return finish

    finalizers = getattr(fixture, "_finalizers", [])
    finalizers[:] = [changed(each) for each in finalizers]


def change_traces(config: pytest.Config, change: Callable[[str], str]) -> None:
    """Let what `--debug` writes into its log pass through a function."""
    root = config.trace.root
    if write := root._writer:
        root.setwriter(lambda text: write(change(text)))
