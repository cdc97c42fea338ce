"""What this pytest session is: its settings, its role among the workers, its run folder."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lmms.config import LATEST, RunConfig
from pytest_lmms.errors import StoreError, UsageError, explain
from pytest_lmms.masks import mask, mask_text
from pytest_lmms.plugin.environment import entry_of
from pytest_lmms.results.remote import fetch_run, is_remote
from pytest_lmms.settings import read_config
from pytest_lmms.surroundings import environment, versions

if TYPE_CHECKING:
    from pytest_lmms.results.store import RunFolder

STAGING = ".lmms/runs"
"""Below the rootdir: runs whose output path is an address."""
KEY = pytest.StashKey["LmmsSession"]()


class LmmsSession:
    """Shared by the plugin's modules, through the stash of the pytest config."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.settings: RunConfig = read_config(config, entry_of(config))
        self.worker_input: Mapping[str, Any] | None = getattr(config, "workerinput", None)
        """What the controller told this worker; None in the process that the user started."""
        self.secrets = self.settings.secrets
        """Values that must be shown nowhere."""
        self.notices: list[str] = list(self.settings.notices)
        """Lines for the summary."""
        self.usage_error: str | None = None
        """Found while running; ends the session with exit code 4."""
        self.is_resumed = False
        self._run_path: Path | None = None
        self.is_begun = False
        """Whether the run folder is in use by this process: until then an earlier run's results stay as they are."""

    @property
    def is_worker(self) -> bool:
        """Whether this process is a worker of `-n`."""
        return self.worker_input is not None

    @property
    def is_distributed(self) -> bool:
        """Whether this process is a controller with workers."""
        return (
            not self.is_worker
            and bool(self.config.getoption("tx", None))
            and (self.config.getoption("dist", "no") != "no")
        )

    @property
    def ours(self) -> Mapping[str, Any]:
        """What our own controller hook told this worker; empty elsewhere."""
        return (self.worker_input or {}).get("lmms", {})  # type: ignore[no-any-return]

    @property
    def writer(self) -> str:
        """Name of this process in file names."""
        return str((self.worker_input or {}).get("workerid", "main"))

    @property
    def is_replacement(self) -> bool:
        """Whether this worker stands in for one that died."""
        return bool(self.ours.get("is_replacement"))

    @property
    def is_replaceable(self) -> bool:
        """Whether this is a worker whose unanswered documents the controller gives to another."""
        return bool(self.ours.get("is_replaceable"))

    @property
    def reads_store(self) -> bool:
        """Whether stored responses of this run may be given out."""
        return bool(self.ours.get("is_resumed", self.is_resumed)) or self.is_replacement

    # --- the run folder ------------------------------------------------------------------------------------------

    @property
    def run_path(self) -> Path:
        """The run folder's path; decided at first use, made by whoever runs the first document."""
        if self._run_path is None:
            told = self.ours.get("run_path")
            self._run_path = Path(told) if told else self._decide_run()
        return self._run_path

    @property
    def selection(self) -> dict[str, Any]:
        """What chooses documents beside the settings."""
        option = self.config.option
        args = [a.replace(f"[{self.settings.run_label}-", "[") for a in self.config.args]
        return {"args": args, "keyword": option.keyword, "markexpr": option.markexpr}

    def _invocation(self) -> dict[str, Any]:
        """`selection`, without paths that come from an ini file or from the names of tasks."""
        is_said = self.config.args_source is self.config.ArgsSource.ARGS
        return self.selection | ({} if is_said else {"args": []})

    @property
    def plan_digest(self) -> str:
        """What makes this the same run as another; see `RunConfig.plan_digest`."""
        return self.settings.plan_digest(self.selection)

    @property
    def output_folder(self) -> Path:
        """Where run folders are made: that of the user, or one of this machine whose runs are copied to an address."""
        text = self.settings.output_path
        if is_remote(text):
            return Path(self.config.rootpath) / STAGING
        return Path(text).expanduser().absolute()

    def _local(self, run: str, option: str) -> Path:
        """The folder of a run that is to be gone on with, fetched where it lies elsewhere."""
        if not is_remote(run):
            return Path(run).expanduser().absolute()
        here = self.output_folder / run.rstrip("/").rpartition("/")[2]
        return here if here.is_dir() else fetch_run(run, self.output_folder, where=option, part="everything")

    def _decide_run(self) -> Path:
        """A new run folder, or the one to go on with; changes nothing on disk."""
        from pytest_lmms.results.store import RunFolder, find_runs, new_run_path

        settings = self.settings
        wanted = settings.resume or settings.retry_errors
        output = self.output_folder
        if wanted is None:
            return new_run_path(output, settings.model_name)
        option = "--lmms-resume" if settings.resume else "--lmms-retry-errors"
        digest = self.plan_digest
        if wanted != LATEST:
            folder = RunFolder(self._local(wanted, option))
            if folder.info().get("plan_digest") != digest:
                raise UsageError(
                    explain(
                        "that run was made by another command",
                        where=f"{option} {wanted}",
                        expected=f"the same settings and paths: {folder.info().get('command')}",
                        remedy=f"repeat that command with {option}",
                    )
                )
        else:
            found = next((r for r in find_runs(output) if _digest_of(r) == digest), None)
            if found is None and settings.retry_errors:
                raise UsageError(
                    explain(f"no run of this command in {output}", where=option, remedy="run it without first")
                )
            if found is None:
                self.notices.append(f"nothing to resume in {output}: this is a first run")
                return new_run_path(output, settings.model_name)
            folder = found
        self._refuse_running(folder)
        self.is_resumed = True
        return folder.path

    def _refuse_running(self, folder: RunFolder) -> None:
        if (pid := _running(folder.info())) is not None:
            option = "--lmms-resume" if self.settings.resume else "--lmms-retry-errors"
            raise UsageError(
                explain(
                    f"that run is still going on, in process {pid}",
                    where=f"{option} {folder.path}",
                    remedy="wait for it, or end it",
                )
            )

    def begin_run(self) -> None:
        """Take the run folder into use, once, in the process that the user started.

        Records of an earlier attempt are forgotten: they are made again from its responses. Whoever else decided to
        go on with the same run, and comes second, is refused.

        Raises:
            UsageError: Another process has the run.
            StoreError: Its run.json cannot be read any more.
            OSError: The folder cannot be written to.
        """
        from pytest_lmms.results.store import RunFolder

        if self.is_begun or self.is_worker:
            return
        self.is_begun = True
        folder = RunFolder(self.run_path)
        if self.is_resumed:
            with folder.locked():
                self._refuse_running(folder)
                resumed = folder.info().get("resumed", 0) + 1
                folder.update(status="running", resumed=resumed, process=_process(is_worker=False))
            folder.clear_shards()
            folder.clear_unfinished()

    def discard_empty_run(self) -> None:
        """Remove the run folder that this session made, unless it holds a record or a response."""
        from pytest_lmms.results.shards import index_shards
        from pytest_lmms.results.store import RunFolder

        if self._run_path is None or self.is_worker or self.is_resumed:
            return
        folder = RunFolder(self._run_path)
        if not folder.exists or index_shards(folder.shards).places:
            return
        if not any(path.stat().st_size for path in folder.responses.glob("*")):
            shutil.rmtree(folder.path, ignore_errors=True)

    def run_info(self) -> dict[str, Any]:
        """What run.json says about how the run came to be."""
        return {
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "plan_digest": self.plan_digest,
            "command": self.secrets.hide(mask_command(["pytest", *self.config.invocation_params.args])),
            "cwd": str(self.config.invocation_params.dir),
            "rootdir": str(self.config.rootpath),
            "config": self.settings.resolved(),
            "invocation": {name: mask(value) for name, value in self._invocation().items()},  # `-k` is no key
            "versions": versions(),
            "environment": environment(),
            "python": sys.executable,
            "process": _process(is_worker=self.is_worker),
        }


def _digest_of(folder: RunFolder) -> str | None:
    """The plan of a run; None of one that cannot be read, e.g. of a later version, which keeps nobody from going on."""
    try:
        return folder.info().get("plan_digest")
    except StoreError:
        return None


def _process(*, is_worker: bool) -> list[Any]:
    """Machine, number and start of the process that runs a session; a worker names its controller."""
    pid = os.getppid() if is_worker else os.getpid()
    return [socket.gethostname(), pid, (_stat_of(pid) or ("", None))[1]]


def _running(info: Mapping[str, Any]) -> int | None:
    """The process that a run folder is in use by; None when it is free, or another machine's."""
    host, pid, *begun = info.get("process") or ("", 0)
    if info.get("status") != "running" or host != socket.gethostname() or pid == os.getpid():
        return None
    state, now_begun = _stat_of(pid) or ("Z", None)
    is_another = bool(begun) and begun[0] != now_begun  # numbers are given again, after a restart above all
    return None if state == "Z" or is_another else int(pid)


def _stat_of(pid: int) -> tuple[str, int] | None:
    """A process's state, a letter, and its start in ticks since the machine's; None without it, or off Linux."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def mask_command(words: list[str]) -> str:
    """A command line without the secrets in its `key=value` lists and addresses."""
    import shlex

    return shlex.join(mask_text(word) for word in words)


def is_verbose(config: pytest.Config) -> bool:
    """Whether `-v` was given; pytest 8.0 knows no verbosity where `-p no:terminal` was."""
    return int(getattr(config.option, "verbose", 0)) > 0


def session_of(config: pytest.Config) -> LmmsSession:
    """The session's state; made when the plugin is configured."""
    return config.stash[KEY]
