"""The controller of `-n`: starts workers with what they need to know, stops them, reports what a dead one leaves.

Its hooks are xdist's; what goes to whom is decided in `scheduling`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_lmms.errors import LmmsError
from pytest_lmms.plugin.paths import may_hold_tasks
from pytest_lmms.plugin.run_document import cannot_write
from pytest_lmms.plugin.scheduling import BlockScheduling
from pytest_lmms.plugin.session import session_of
from pytest_lmms.plugin.units import doc_id_of, task_of
from pytest_lmms.printable import printable

STOP_SECONDS = 35.0
"""How long workers may take to finish what they have in hand; a little more than an engine's own patience."""
POLL_SECONDS = 1.0


class Slots:
    """Places for workers: a replacement gets the place, and so the device, of the one that died."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def lease(self, worker: str) -> int:
        """The lowest free place."""
        slot = next(i for i in itertools.count() if i not in self._taken.values())
        self._taken[worker] = slot
        return slot

    def release(self, worker: str) -> None:
        """Give a worker's place back."""
        self._taken.pop(worker, None)


class XdistController:
    """The hooks of the controller; registered only where xdist is."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.slots = Slots()
        self.suspects: dict[str, int] = {}
        self.is_running = False
        self.scheduler: BlockScheduling | None = None
        self._nodes: list[Any] = []
        self._reported: set[str] = set()
        self._num_failed = 0
        self._is_stopping = False

    @pytest.hookimpl
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker its place, its run folder, and what its predecessor may have died of."""
        session = session_of(self.config)
        if not self._nodes:
            self._begin_run()
            threading.Thread(target=self._watch, name="lmms-watch-workers", daemon=True).start()
        self._nodes.append(node)
        slot = self.slots.lease(node.gateway.id)
        node.workerinput["lmms"] = {
            "slot": slot,
            "num_workers": len(self.config.getvalue("tx")),
            "run_path": str(session.run_path),
            "is_resumed": session.is_resumed,
            "is_replacement": self.is_running,
            "is_replaceable": self._schedules_blocks,
            "suspects": list(self.suspects),
        }

    def _begin_run(self) -> None:
        session = session_of(self.config)
        try:
            session.begin_run()
        except LmmsError as e:
            raise pytest.UsageError(str(e)) from e
        except OSError as e:
            raise pytest.UsageError(cannot_write(e, session.run_path)) from e

    @pytest.hookimpl
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker is gone."""
        self.slots.release(node.gateway.id)
        if node in self._nodes:
            self._nodes.remove(node)
        message = getattr(node, "workeroutput", {}).get("lmms_usage_error")
        if message:
            session_of(self.config).usage_error = message

    @property
    def _schedules_blocks(self) -> bool:
        """Whether our own scheduler deals the work out, and takes back what a worker leaves."""
        return self.config.getvalue("dist") == "load" and may_hold_tasks(self.config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> BlockScheduling | None:
        """Schedule blocks when documents may be run and the user asked for nothing else."""
        self.is_running = True
        if not self._schedules_blocks:
            return None
        from pytest_lmms.inference.engine import AUTO_BATCH_SIZE
        from pytest_lmms.plugin.model_line import WINDOW

        size = session_of(config).settings.batch_size
        batch_size = AUTO_BATCH_SIZE if size == "auto" else size
        self.scheduler = BlockScheduling(
            config,
            batch_size=batch_size,
            window=max(WINDOW, 4 * batch_size),
            give_up=self._give_up,
            recover=self._recover,
            suspects=self.suspects,
            is_innocent=self._was_stuck,
        )
        return self.scheduler

    # --- stopping ------------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Iterator[Any]:
        """However the loop is left, leave no worker behind that still writes."""
        try:
            return (yield)
        except BaseException:
            self._stop_workers()
            try:
                self._await_workers()
            finally:
                self._kill_workers()
            raise

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: Any) -> None:
        """After `--maxfail` failures let workers give up what they have queued; xdist would have them finish it."""
        self._reported.add(report.nodeid)
        self._num_failed += report.failed
        maxfail = self.config.getoption("maxfail", 0)
        if maxfail and self._num_failed >= maxfail and not self._is_stopping:
            dsession: Any = self.config.pluginmanager.get_plugin("dsession")
            dsession.shouldstop = dsession.shouldstop or f"stopping after {self._num_failed} failures"
            self._stop_workers(only_running=True)

    def _stop_workers(self, *, only_running: bool = False) -> None:
        """Have every worker finish the batch in hand and end.

        Args:
            only_running: Leave those alone that are still starting; they are sent away when they are up.
        """
        self._is_stopping = True
        for node in list(self._nodes):
            if not hasattr(node, "channel") or (only_running and not hasattr(node, "workerinfo")):
                continue
            node.shutdown()
            self._signal(node, signal.SIGTERM)

    def _await_workers(self) -> None:
        """Wait for workers to end, and take the reports that still come."""
        deadline = time.monotonic() + STOP_SECONDS
        dsession: Any = self.config.pluginmanager.get_plugin("dsession")
        while time.monotonic() < deadline:
            try:
                name, values = dsession.queue.get(timeout=0.1 if self._nodes else 0.0)
            except queue.Empty:
                if not any(_is_alive(node) for node in self._nodes):
                    return
                continue
            if name == "testreport":
                values["rep"].node = values["node"]
                self.config.hook.pytest_runtest_logreport(report=values["rep"])
            elif name in ("workerfinished", "errordown"):
                self.config.hook.pytest_testnodedown(node=values["node"], error=None)

    def _kill_workers(self) -> None:
        for node in self._nodes:
            if _is_alive(node):
                self._signal(node, signal.SIGKILL)

    @staticmethod
    def _signal(node: Any, number: int) -> None:
        """Send a signal to a worker on this machine."""
        process = _process(node)
        if process is not None and process.poll() is None:
            with contextlib.suppress(OSError):
                os.kill(process.pid, number)

    def _watch(self) -> None:
        """Notice a dead worker whose pipe a child of it keeps open; xdist waits for the pipe alone."""
        seen: dict[int, int] = {}
        while True:
            time.sleep(POLL_SECONDS)
            for node in list(self._nodes):
                process = _process(node)
                if process is None or process.poll() is None or node._down:
                    continue
                seen[id(node)] = seen.get(id(node), 0) + 1
                if seen[id(node)] == 2:
                    node._down = True
                    node.notify_inproc("errordown", node=node, error=f"process ended with {process.returncode}")

    # --- documents of dead workers -------------------------------------------------------------------------------

    def _recover(self, node: Any, nodeids: Sequence[str]) -> Collection[str]:
        """Report what a dead worker had recorded and had no time to report."""
        from pytest_lmms.results.shards import index_shards
        from pytest_lmms.results.store import RunFolder

        folder = RunFolder(session_of(self.config).run_path)
        index = index_shards(folder.shards, only=f"{node.gateway.id}.jsonl")
        recovered = set()
        for nodeid in nodeids:
            task = (task_of(nodeid) or "").rpartition("::")[2]
            place = index.places.get(task, {}).get(doc_id_of(nodeid))
            if place is None:
                continue
            record = index.read(place)
            recovered.add(nodeid)
            if nodeid not in self._reported:  # it may have died between the report and the word that it is done
                self._report(nodeid, record, node=node)
        return recovered

    def _was_stuck(self, node: Any) -> bool:
        """Whether a worker left because its adapter never came back; what it leaves was never asked."""
        from pytest_lmms.results.shards import index_shards
        from pytest_lmms.results.store import RunFolder

        worker = node.gateway.id
        notes = index_shards(RunFolder(session_of(self.config).run_path).shards, only=f"{worker}.jsonl").notes
        return any(note.get("stuck") == worker for note in notes)

    def _give_up(self, nodeid: str, crashes: int) -> None:
        """Write and report the error record of a document that kills workers."""
        from pytest_lmms.records import Record
        from pytest_lmms.results.shards import decode_record, encode_record
        from pytest_lmms.results.store import RunFolder

        record = Record(
            task=(task_of(nodeid) or "").rpartition("::")[2],
            doc_id=doc_id_of(nodeid),
            status="error",
            error=f"{nodeid}: the worker process died {crashes} times while it ran this document alone",
        )
        shard = RunFolder(session_of(self.config).run_path).shard("controller")
        shard.write([record])
        shard.close()
        self._report(nodeid, decode_record(encode_record(record)) or {})

    def _report(self, nodeid: str, record: Mapping[str, Any], node: Any = None) -> None:
        """Send the report of a document in place of a worker that cannot."""
        from pytest_lmms.plugin.recording import PROPERTY, summarise_decoded

        is_error = record["status"] == "error"
        report = pytest.TestReport(
            nodeid=nodeid,
            location=(nodeid.partition("::")[0], 0, nodeid.rpartition("::")[2]),
            keywords={},
            outcome="failed" if is_error else "passed",
            longrepr=printable(record.get("error") or "") if is_error else None,
            when="call",
            user_properties=[(PROPERTY, summarise_decoded(record))],
        )
        if node is not None:
            report.node = node  # type: ignore[attr-defined]
        self.config.hook.pytest_runtest_logreport(report=report)


def _process(node: Any) -> Any:
    """The `subprocess.Popen` of a worker on this machine; None of one elsewhere."""
    return getattr(getattr(node.gateway, "_io", None), "popen", None)


def _is_alive(node: Any) -> bool:
    process = _process(node)
    return process is not None and process.poll() is None


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Join in where this process is a controller of workers."""
    if hasattr(config.hook, "pytest_xdist_make_scheduler") and session_of(config).is_distributed:
        config.pluginmanager.register(XdistController(config), "lmms-xdist-controller")
