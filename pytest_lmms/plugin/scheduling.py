"""Which worker runs which documents under `-n`: whole batches, in blocks, and what happens when a worker dies.

The only importer of xdist, and of it only names that its plugins may use. A block is one or more whole batches of
one task; blocks shrink towards the end so that workers finish together. A worker always holds two items or more,
because it does not start its last one before it hears what comes next.

When a worker dies, everything that it had not recorded goes out again; the documents that were in flight run alone,
in a worker that replaces it and has been told their names. One that takes two workers down alone gets an error
record from here.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import pytest

from pytest_lmms.plugin.collection import may_hold_tasks
from pytest_lmms.plugin.session import session_of

BLOCKS_PER_WORKER = 8
"""Into how many blocks a worker's share is cut, roughly."""
MAX_BLOCK = 512
LONE_CRASHES = 2
STOP_SECONDS = 35.0
"""How long workers may take to finish what they have in hand; a little more than an engine's own patience."""
POLL_SECONDS = 1.0


def plan_units(ids: Sequence[str], batch_size: int) -> list[list[int]]:
    """Cut a collection into units that must stay together.

    Args:
        ids: Node ids in collection order.
        batch_size: Documents of one task that share a batch, by position.

    Returns:
        Lists of indices: whole batches of documents, and single ordinary tests.
    """
    units: list[list[int]] = []
    counts: Counter[str] = Counter()
    previous: tuple[str, int] | None = None
    for index, nodeid in enumerate(ids):
        task = task_of(nodeid)
        if task is None:
            units.append([index])
            previous = None
            continue
        group = (task, counts[task] // batch_size)
        counts[task] += 1
        if group == previous:
            units[-1].append(index)
        else:
            units.append([index])
        previous = group
    return units


def task_of(nodeid: str) -> str | None:
    """The task part of a document's id (`path/mme.yaml::mme`); None for an ordinary test."""
    file, _, name = nodeid.partition("::")
    if not file.endswith((".yaml", ".yml")) or not name.endswith("]"):
        return None
    return nodeid[: nodeid.rfind("[")]


def doc_id_of(nodeid: str) -> int:
    """The row number in a document's id."""
    return int(nodeid[nodeid.rfind("[") + 1 : -1])


class BlockScheduling:
    """xdist's `Scheduling` protocol over blocks of whole batches."""

    def __init__(
        self,
        config: pytest.Config,
        *,
        batch_size: int,
        window: int,
        give_up: Callable[[str, int], None],
        recover: Callable[[Any, Sequence[str]], Collection[str]],
        suspects: dict[str, int],
        is_innocent: Callable[[Any], bool] = lambda _node: False,
    ) -> None:
        """Set up.

        Args:
            config: For the number of workers.
            batch_size: Documents that share a batch.
            window: Documents that a worker may have in flight.
            give_up: Called with node id and number of crashes for a document that no worker survives.
            recover: Called with a dead worker and the ids of documents it had not reported; reports those that it
                had recorded, and returns their ids.
            suspects: Filled with the ids of documents that were in flight when a worker died, and how often one of
                them was alone then.
            is_innocent: Whether what a dead worker leaves had nothing to do with its end.
        """
        self.config = config
        self.batch_size = batch_size
        self.window = window
        self.give_up = give_up
        self.recover = recover
        self.suspects = suspects
        self.is_innocent = is_innocent
        self.num_workers = len(config.getvalue("tx"))
        self.collection: list[str] | None = None
        self._unit_numbers: list[int] = []
        self._collections: dict[Any, list[str]] = {}
        self._units: deque[list[int]] = deque()
        self._num_unsent = 0
        self._alone: deque[int] = deque()
        self._pending: OrderedDict[Any, OrderedDict[int, None]] = OrderedDict()

    # --- what xdist asks -----------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[Any]:
        """Workers that are up."""
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        """Whether as many workers as were started have collected; it stays true when some of them leave."""
        return self.collection is not None or len(self._collections) >= self.num_workers

    @property
    def tests_finished(self) -> bool:
        """Whether nothing is left to send, and every worker has at most the item it cannot start without a word."""
        if not self.collection_is_completed or self._units or self._alone:
            return False
        return all(len(pending) <= 1 for pending in self._pending.values())

    @property
    def has_pending(self) -> bool:
        """Whether anything is unsent or unfinished."""
        return bool(self._units or self._alone) or any(self._pending.values())

    def add_node(self, node: Any) -> None:
        """A worker came up."""
        self._pending[node] = OrderedDict()

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """A worker has collected."""
        if node not in self._pending:
            return
        ids = list(collection)
        if self.collection is not None:
            if ids != self.collection:
                # It cannot stand in for anybody. What is unsent is told as not run.
                self._complain(node, ids, self.collection)
                self._drop_unsent()
                return
            ids = self.collection
        self._collections[node] = ids

    def schedule(self) -> None:
        """Every worker has collected: cut the work and send first blocks; or serve a replacement."""
        if self.collection is None:
            first = next(iter(self._collections.values()))
            for node, ids in self._collections.items():
                if ids != first:
                    self._complain(node, ids, first)
                    return
            self.collection = first
            for number, unit in enumerate(units := plan_units(first, self.batch_size)):
                self._unit_numbers.extend([number] * len(unit))
            self._units.extend(units)
            self._num_unsent = len(first)
        self._serve_all()

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """A worker has finished an item."""
        pending = self._pending[node]
        pending.pop(item_index, None)
        if len(pending) <= self._low_water():
            self._serve(node)

    def mark_test_pending(self, item: str) -> None:
        """Run an item again."""
        assert self.collection is not None  # noqa: S101
        self._requeue([self.collection.index(item)])
        self._serve_all()

    def remove_pending_tests_from_node(self, node: Any, indices: Sequence[int]) -> None:
        """Never used: nothing is stolen from a worker."""
        raise NotImplementedError

    def remove_node(self, node: Any) -> str | None:
        """A worker went down; what it had not finished goes out again. Nobody is blamed by pytest-xdist.

        Returns:
            The id of an ordinary test that took the worker down, for pytest-xdist to report; None for documents.
        """
        pending = list(self._pending.pop(node))
        self._collections.pop(node, None)
        if not pending or self.collection is None:
            return None
        ids = self.collection
        if task_of(ids[pending[0]]) is None:
            self._requeue(pending[1:])
            self._serve_all()
            return ids[pending[0]]
        recorded = self.recover(node, [ids[i] for i in pending if task_of(ids[i]) is not None])
        left = [i for i in pending if ids[i] not in recorded]
        told = self._told(node)
        if self.is_innocent(node):
            pass
        elif ids[pending[0]] in told:
            if left[:1] == pending[:1]:
                self._blame(left[0])
        else:
            self._suspect(left, told)
        given_up = [i for i in left if self.suspects.get(ids[i], 0) >= LONE_CRASHES]
        for index in given_up:
            self.give_up(ids[index], self.suspects[ids[index]])
        left = [i for i in left if i not in given_up]
        self._alone.extendleft(reversed([i for i in left if ids[i] in self.suspects]))
        self._requeue([i for i in left if ids[i] not in self.suspects])
        self._serve_all()
        return None

    # --- blame ---------------------------------------------------------------------------------------------------

    @staticmethod
    def _told(node: Any) -> Collection[str]:
        """Which documents a worker was told to run alone when it was started."""
        return node.workerinput.get("lmms", {}).get("suspects", ())  # type: ignore[no-any-return]

    def _blame(self, index: int) -> None:
        """A document was alone in a worker that died."""
        assert self.collection is not None  # noqa: S101
        nodeid = self.collection[index]
        self.suspects[nodeid] = self.suspects.get(nodeid, 0) + 1

    def _suspect(self, pending: Sequence[int], told: Collection[str]) -> None:
        """Any of a window of documents may have taken a worker down: each will run alone."""
        assert self.collection is not None  # noqa: S101
        for index in pending[: self.window]:
            nodeid = self.collection[index]
            if task_of(nodeid) is None or nodeid in told:
                break
            self.suspects.setdefault(nodeid, 0)

    # --- sending -------------------------------------------------------------------------------------------------

    def _requeue(self, indices: Sequence[int]) -> None:
        """Put unfinished items back in front, cut as they were in the plan."""
        units = [list(unit) for _, unit in itertools.groupby(indices, key=self._unit_numbers.__getitem__)]
        self._units.extendleft(reversed(units))
        self._num_unsent += len(indices)

    def _drop_unsent(self) -> None:
        self._units.clear()
        self._alone.clear()
        self._num_unsent = 0
        self._serve_all()

    def _low_water(self) -> int:
        """A worker with so few items pending gets its next block: one batch, and the item it holds back."""
        return self.batch_size + 1

    def _serve_all(self) -> None:
        for node in list(self._pending):
            self._serve(node)

    def _serve(self, node: Any) -> None:
        """Send a worker its next block, or the word that nothing more comes."""
        if self.collection is None or node not in self._collections or node.shutting_down:
            return
        pending = self._pending[node]
        if len(pending) > self._low_water():
            return
        block = self._take_alone(node)
        target = self._block_size()
        # A worker sits on its last item, so it is given two at least.
        while self._units and (len(block) < target or len(pending) + len(block) < 2):
            unit = self._units.popleft()
            self._num_unsent -= len(unit)
            block.extend(unit)
        if block:
            pending.update(dict.fromkeys(block))
            with contextlib.suppress(OSError):  # it has just died: what was meant for it goes out again
                node.send_runtest_some(block)
        # While suspects wait for their worker, the others are kept: they may have to help it out.
        if not self._units and not self._alone:
            node.shutdown()

    def _take_alone(self, node: Any) -> list[int]:
        """Suspects, for a worker that knows that they are."""
        if not self._alone:
            return []
        assert self.collection is not None  # noqa: S101
        told = frozenset(self._told(node))
        taken = [i for i in self._alone if self.collection[i] in told]
        if taken:
            self._alone = deque(i for i in self._alone if self.collection[i] not in told)
        return taken

    def _block_size(self) -> int:
        """Documents in the next block: a share of what is left, at most `MAX_BLOCK`, at least one batch."""
        share = self._num_unsent // max(1, len(self._pending) * BLOCKS_PER_WORKER)
        return max(self.batch_size, min(MAX_BLOCK, share))

    def _complain(self, node: Any, ids: list[str], expected: list[str]) -> None:
        from xdist.report import report_collection_diff

        message = report_collection_diff(expected, ids, "the first worker", node.gateway.id)
        report = pytest.CollectReport(node.gateway.id, "failed", longrepr=message or "collections differ", result=[])
        self.config.hook.pytest_collectreport(report=report)


# --- in a worker --------------------------------------------------------------------------------------------------


class WorkerQueue:
    """Which items this worker has been given and not yet begun."""

    def __init__(self, interactor: Any) -> None:
        self.interactor = interactor

    def upcoming(self) -> Iterator[int]:
        """Indices in order."""
        if isinstance(self.interactor.nextitem_index, int):
            yield self.interactor.nextitem_index
        with self.interactor.torun.lock() as items:
            waiting = [i for i in items if isinstance(i, int)]
        yield from waiting


class WorkerStop:
    """Ends a worker in good order when the controller, or the machine, sends a signal.

    The batch in hand may finish and is recorded; what is queued is given up. A worker that is still loading its model
    is interrupted. The controller hears of an ordinary end, so that it starts no replacement.
    """

    REASON = "stopped by a signal"

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.is_asked = False
        # SIGINT reaches every process of a terminal's group; the controller decides what it means.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: Any) -> None:
        if self.is_asked and number == signal.SIGINT:
            return
        self.is_asked = True
        self.session.shouldstop = self.REASON
        if not self._stop_engines():
            raise KeyboardInterrupt

    def _stop_engines(self) -> bool:
        """Let running engines send nothing more; False when there are none."""
        from pytest_lmms.plugin.run_document import known_runner

        runner = known_runner(self.session.config)
        lines = list(runner.lines.values()) if runner is not None else []
        for line in lines:
            line.engine.stop()
        return bool(lines)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Begin nothing after a signal."""
        return True if self.is_asked else None

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the controller of an end, not of an interruption; that would make it start a replacement."""
        if self.is_asked:
            output: dict[str, Any] = session.config.workeroutput  # type: ignore[attr-defined]
            output["exitstatus"] = int(pytest.ExitCode.TESTS_FAILED)
            output["shouldstop"] = self.REASON


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """In a worker, find the queue that xdist fills, and take signals."""
    manager = session.config.pluginmanager
    if not session_of(session.config).is_worker:
        return
    with contextlib.suppress(ValueError):  # not the main thread
        manager.register(WorkerStop(session), "lmms-worker-stop")
    for plugin in manager.get_plugins():
        if hasattr(plugin, "torun") and hasattr(plugin, "nextitem_index"):
            manager.register(WorkerQueue(plugin), "lmms-worker-queue")
            return


# --- in the controller --------------------------------------------------------------------------------------------


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
            session.begin_run()
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
        from pytest_lmms.plugin.runner import WINDOW

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
        from pytest_lmms.results.store import RunFolder, index_shards

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
        from pytest_lmms.results.store import RunFolder, index_shards

        worker = node.gateway.id
        notes = index_shards(RunFolder(session_of(self.config).run_path).shards, only=f"{worker}.jsonl").notes
        return any(note.get("stuck") == worker for note in notes)

    def _give_up(self, nodeid: str, crashes: int) -> None:
        """Write and report the error record of a document that kills workers."""
        from pytest_lmms.records import Record
        from pytest_lmms.results.store import RunFolder, decode_record, encode_record

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
            longrepr=record.get("error") if is_error else None,
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
