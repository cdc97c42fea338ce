"""Several runs in one config file: one pytest process each, in order, and one verdict.

A process a run gives each its own environment and all memory back, and keeps a crash from touching the others. Ids of
documents name their run, `mme.yaml::mme[qwen3_vl-17]`, so that `--lf` and pasted ids know which one is meant.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_lmms.config import BY_NAME
from pytest_lmms.configfile import Entry
from pytest_lmms.errors import LmmsError
from pytest_lmms.plugin.environment import entries_of
from pytest_lmms.plugin.session import session_of
from pytest_lmms.settings import settings_of

NOTE = "PYTEST_LMMS_RUN_NOTE"
"""Tells the process of a run where to write its run folder's path."""
NUM_JUDGED = "PYTEST_LMMS_NUM_JUDGED_RUNS"
"""Tells the process of a run how many runs of its list are compared with a baseline (see `results.gate.decide`)."""
SEVERITY = (5, 0, 1, 4, 3, 2)
"""Exit codes, the worst last; a run in which nothing was selected is no failure beside others."""
_NOTE = pytest.StashKey[Path]()
_NUM_JUDGED = pytest.StashKey[int]()
_BASELINE = BY_NAME["baseline"]
ASKS_NO_MODEL = ("help", "version", "showfixtures", "show_fixtures_per_test", "markers", "cacheshow", "lmms_list")
"""Options that answer by themselves, whatever the config file holds."""


@dataclass(frozen=True)
class Run:
    """How one run ended."""

    entry: Entry
    code: int
    folder: Path | None

    def results(self) -> Mapping[str, Any] | None:
        """Its results.json, where it made one."""
        path = self.folder and self.folder / "results.json"
        return json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else None


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Start every run of a list, and answer for all of them."""
    try:
        entries = entries_of(config)
        if len(entries) < 2 or any(config.getoption(name, None) for name in ASKS_NO_MODEL):
            return None
        # a mistake in the last one is told before the first one runs
        files = [settings_of(entry, {**os.environ, **entry.environment(os.environ)}) for entry in entries]
    except LmmsError as e:
        raise pytest.UsageError(str(e)) from e
    for_all = config.getoption(_BASELINE.ini) or config.getini(_BASELINE.ini)
    judged = {e.label for e, file in zip(entries, files, strict=True) if for_all or file.values.get(_BASELINE.name)}
    return _run_all(config, entries, judged)


def _run_all(config: pytest.Config, entries: Sequence[Entry], judged: Collection[str]) -> int:
    words = {entry.label: arguments_for(config.invocation_params.args, entry, entries) for entry in entries}
    failed = _runs_that_failed(config, entries) if config.getoption("lf", default=False) else set()
    chosen = [e for e in entries if words[e.label] is not None and (not failed or e.label in failed)]
    shared = {NUM_JUDGED: str(sum(e.label in judged for e in chosen))}
    done: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="pytest-lmms-") as name, _Child() as child:
        scratch = Path(name)
        for entry in chosen:
            _say(f"run {entry.position} of {len(entries)}: {entry.label}")
            command = [*_pytest(), *(words[entry.label] or ()), f"--lmms-config={entry.path}#{entry.position}"]
            if config.getoption("xmlpath", None):
                command.append(f"--junitxml={scratch / f'{entry.position}.xml'}")
            code = child.run(command, os.environ | shared | {NOTE: str(scratch / str(entry.position))}, config)
            note = scratch / str(entry.position)
            folder = Path(note.read_text("utf-8")) if note.is_file() else None
            done.append(Run(entry, code, folder if folder and folder.is_dir() else None))
            if child.is_stopped or code == pytest.ExitCode.INTERRUPTED:
                break
            if config.getoption("maxfail", 0) and code == pytest.ExitCode.TESTS_FAILED:
                break
        if config.getoption("xmlpath", None):
            _merge_junit([scratch / f"{run.entry.position}.xml" for run in done], Path(config.option.xmlpath))
    _summarise(done, entries)
    return worst([run.code for run in done])


def worst(codes: Sequence[int]) -> int:
    """The exit code of several runs; a process that a signal ended counts as an internal error (3)."""
    known = [code if code in SEVERITY else int(pytest.ExitCode.INTERNAL_ERROR) for code in codes]
    return max(known, key=SEVERITY.index, default=int(pytest.ExitCode.NO_TESTS_COLLECTED))


def arguments_for(words: Sequence[str], entry: Entry, entries: Sequence[Entry]) -> list[str] | None:
    """The command line of one run: ids that name another run are left out.

    Returns:
        None when only documents of other runs were named.
    """
    others = tuple(f"[{e.label}-" for e in entries if e is not entry)
    kept = [w for w in words if not ("::" in w and any(o in w for o in others))]
    is_for_others = len(kept) < len(words) and not any("::" in w for w in kept)
    return None if is_for_others else kept


def _runs_that_failed(config: pytest.Config, entries: Sequence[Entry]) -> set[str]:
    """The runs that pytest remembers failed documents of; `--lf` would have the others run everything."""
    path = config.rootpath / config.getini("cache_dir") / "v/cache/lastfailed"
    try:
        remembered = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {entry.label for entry in entries if any(f"[{entry.label}-" in nodeid for nodeid in remembered)}


def _pytest() -> list[str]:
    """The command that starts pytest as it was started here: with or without the current folder in `sys.path`."""
    if {"", str(Path.cwd())} & set(sys.path):
        return [sys.executable, "-m", "pytest"]
    code = "import sys; sys.path[:] = filter(None, sys.path); import pytest; sys.exit(pytest.main())"
    return [sys.executable, "-c", code]


class _Child:
    """The process of the run in hand; signals reach it, and keep the next from starting."""

    def __enter__(self) -> _Child:  # noqa: PYI034  (Self is newer than Python 3.10)
        self.is_stopped = False
        self._process: subprocess.Popen[bytes] | None = None
        self._before: dict[int, Any] = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._stop)
            except ValueError:  # not the main thread
                break
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self, command: Sequence[str], environment: Mapping[str, str], config: pytest.Config) -> int:
        """Run to the end; the terminal is the child's."""
        sys.stdout.flush()
        self._process = subprocess.Popen(command, env=environment, cwd=config.invocation_params.dir)  # noqa: S603
        return self._process.wait()

    def _stop(self, number: int, _frame: Any) -> None:
        self.is_stopped = True
        is_from_terminal = number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty()
        if self._process is not None and self._process.poll() is None and not is_from_terminal:
            self._process.send_signal(number)


def _say(title: str) -> None:
    _tell(f" {title} ".center(shutil.get_terminal_size().columns, "#"))


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")


def _summarise(done: Sequence[Run], entries: Sequence[Entry]) -> None:
    from pytest_lmms.results.table import runs_table, verdicts_table

    _say(f"{len(done)} of {len(entries)} runs")
    results = {run.entry.label: run.results() for run in done}
    made = {label: found for label, found in results.items() if found is not None}
    for line in (*runs_table(made), *verdicts_table(made)):
        _tell(line)
    for run in done:
        where = os.path.relpath(run.folder) if run.folder is not None else "no run folder"
        _tell(f"{run.entry.label}: exit code {run.code}, {where}")
    for entry in entries:
        if entry.label not in results:
            _tell(f"{entry.label}: not run")


def _merge_junit(paths: Sequence[Path], target: Path) -> None:
    """Put the suites of all runs into one file."""
    from xml.etree import ElementTree as ET

    merged = ET.Element("testsuites", {"name": "pytest tests"})
    for path in paths:
        if path.is_file():
            merged.extend(ET.parse(path).getroot())  # noqa: S314  (pytest wrote it a moment ago)
    target.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(merged).write(target, encoding="utf-8", xml_declaration=True)


# --- in the process of a run --------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Take the notes away from the environment: workers and whatever else is started must not write or read them."""
    if (note := os.environ.pop(NOTE, None)) is not None:
        config.stash[_NOTE] = Path(note)
    config.stash[_NUM_JUDGED] = int(os.environ.pop(NUM_JUDGED, "") or 1)


def num_judged_runs(config: pytest.Config) -> int:
    """How many runs of this one's list are compared with a baseline, 1 or more."""
    return max(1, config.stash.get(_NUM_JUDGED, 1))


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Tell where the run will lie, before anything can end this process."""
    if (note := session.config.stash.get(_NOTE, None)) is not None and not session.config.option.collectonly:
        note.write_text(str(session_of(session.config).run_path), encoding="utf-8")
