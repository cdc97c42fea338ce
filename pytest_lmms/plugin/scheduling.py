"""Which worker runs which documents under `-n`: whole batches, in blocks, and what happens when a worker dies.

The only importer of xdist, and of it only names that its plugins may use. A block is one or more whole batches of
one task; blocks shrink towards the end so that workers finish together. Ordinary tests in the same session go out
one by one. A worker always holds two items or more, because it does not start its last one before it hears what
comes next.

When a worker dies, everything that it had not finished goes out again; the documents that were in flight run alone,
in the worker that replaces it. One that takes two workers down alone gets an error record from here.
"""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from pytest_lmms.plugin.collection import may_hold_tasks
from pytest_lmms.plugin.session import session_of

BLOCKS_PER_WORKER = 8
"""Into how many blocks a worker's share is cut, roughly."""
MAX_BLOCK = 512
LONE_CRASHES = 2


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


class BlockScheduling:
    """xdist's `Scheduling` protocol over blocks of whole batches."""

    def __init__(
        self,
        config: pytest.Config,
        *,
        batch_size: int,
        window: int,
        give_up: Callable[[str, int], None],
        suspects: dict[str, int],
    ) -> None:
        """Set up.

        Args:
            config: For the number of workers.
            batch_size: Documents that share a batch.
            window: Documents that a worker may have in flight.
            give_up: Called with node id and number of crashes for a document that no worker survives.
            suspects: Filled with the ids of documents that were in flight when a worker died, and how often one of
                them was alone then.
        """
        self.config = config
        self.batch_size = batch_size
        self.window = window
        self.give_up = give_up
        self.suspects = suspects
        self.num_workers = len(config.getvalue("tx"))
        self.collection: list[str] | None = None
        self._collections: dict[Any, list[str]] = {}
        self._units: deque[list[int]] = deque()
        self._alone: deque[list[int]] = deque()
        self._pending: OrderedDict[Any, OrderedDict[int, None]] = OrderedDict()
        self._replacements: set[Any] = set()
        self._ended: set[Any] = set()
        self._num_left = 0

    # --- what xdist asks -----------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[Any]:
        """Workers that are up."""
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        """Whether as many workers as were started have collected."""
        return len(self._collections) >= self.num_workers

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
            self._replacements.add(node)
            if ids != self.collection:
                self._complain(node, ids, self.collection)
        self._collections[node] = ids

    def schedule(self) -> None:
        """Every worker has collected: cut the work and send first blocks; or serve a replacement."""
        if self.collection is not None:
            for node in list(self._pending):
                self._serve(node)
            return
        first_node, first = next(iter(self._collections.items()))
        for node, ids in self._collections.items():
            if ids != first:
                self._complain(node, ids, first)
                return
        self.collection = first
        del first_node
        self._units.extend(plan_units(first, self.batch_size))
        for node in list(self._pending):
            self._serve(node)

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """A worker has finished an item."""
        pending = self._pending[node]
        pending.pop(item_index, None)
        if len(pending) <= self._low_water():
            self._serve(node)

    def mark_test_pending(self, item: str) -> None:
        """Run an item again."""
        assert self.collection is not None  # noqa: S101
        self._units.appendleft([self.collection.index(item)])
        for node in list(self._pending):
            self._serve(node)

    def remove_pending_tests_from_node(self, node: Any, indices: Sequence[int]) -> None:
        """Never used: nothing is stolen from a worker."""
        raise NotImplementedError

    def remove_node(self, node: Any) -> str | None:
        """A worker went down; what it had not finished goes out again. Nobody is blamed by pytest-xdist."""
        pending = list(self._pending.pop(node))
        self._collections.pop(node, None)
        was_replacement = node in self._replacements
        self._replacements.discard(node)
        if not pending or self.collection is None:
            return None
        documents = [i for i in pending if task_of(self.collection[i]) is not None]
        if pending[0] not in documents:  # an ordinary test took the worker down: pytest-xdist reports it
            self._requeue(pending[1:])
            return self.collection[pending[0]]
        ids = self.collection
        if was_replacement and ids[pending[0]] in self.suspects:
            in_flight = pending[:1]
            self.suspects[ids[pending[0]]] += 1
        else:
            in_flight = list(itertools.takewhile(lambda i: i in documents, pending))[: self.window]
            for index in in_flight:
                self.suspects.setdefault(ids[index], 0)
        for index in in_flight:
            if self.suspects[ids[index]] >= LONE_CRASHES:
                self.give_up(ids[index], self.suspects[ids[index]])
                pending.remove(index)
        alone = [i for i in pending if ids[i] in self.suspects]
        self._alone.extendleft([[i] for i in reversed(alone)])
        self._requeue([i for i in pending if ids[i] not in self.suspects])
        for other in list(self._pending):
            self._serve(other)
        return None

    # --- sending -------------------------------------------------------------------------------------------------

    def _requeue(self, indices: Sequence[int]) -> None:
        assert self.collection is not None  # noqa: S101
        units: list[list[int]] = []
        previous: str | None = None
        for index in indices:
            task = task_of(self.collection[index])
            if task is not None and task == previous and len(units[-1]) < self.batch_size:
                units[-1].append(index)
            else:
                units.append([index])
            previous = task
        self._units.extendleft(reversed(units))

    def _low_water(self) -> int:
        """A worker with so few items pending gets its next block: one batch, and the item it holds back."""
        return self.batch_size + 1

    def _serve(self, node: Any) -> None:
        """Send a worker its next block, or the word that nothing more comes."""
        if self.collection is None or node in self._ended or node not in self._collections:
            return
        pending = self._pending[node]
        if len(pending) > self._low_water():
            return
        block: list[int] = []
        if self._alone and node in self._replacements:
            for unit in self._alone:
                block.extend(unit)
            self._alone.clear()
        target = self._block_size()
        while self._units and len(block) < target:
            block.extend(self._units.popleft())
        while self._units and len(pending) + len(block) < 2:  # noqa: PLR2004  (a worker sits on its last item)
            block.extend(self._units.popleft())
        if block:
            pending.update(dict.fromkeys(block))
            node.send_runtest_some(block)
        if not self._units and not self._alone and not self._awaits_replacement():
            self._ended.add(node)
            node.shutdown()

    def _awaits_replacement(self) -> bool:
        """Whether a worker that is still coming up will need something to do; it takes only its own suspects."""
        return False

    def _block_size(self) -> int:
        """Documents in the next block: a share of what is left, at most `MAX_BLOCK`, at least one batch."""
        left = sum(map(len, itertools.islice(self._units, 4096)))
        share = left // max(1, len(self._pending) * BLOCKS_PER_WORKER)
        return max(self.batch_size, min(MAX_BLOCK, share))

    def _complain(self, node: Any, ids: list[str], expected: list[str]) -> None:
        from xdist.report import report_collection_diff

        message = report_collection_diff(expected, ids, "the first worker", node.gateway.id)
        report = pytest.CollectReport(node.gateway.id, "failed", longrepr=message or "collections differ", result=[])
        self.config.hook.pytest_collectreport(report=report)


class WorkerQueue:
    """In a worker: which items it has been given and not yet begun."""

    def __init__(self, interactor: Any) -> None:
        self.interactor = interactor

    def upcoming(self) -> Iterator[int]:
        """Indices in order."""
        if isinstance(self.interactor.nextitem_index, int):
            yield self.interactor.nextitem_index
        with self.interactor.torun.lock() as items:
            waiting = [i for i in items if isinstance(i, int)]
        yield from waiting


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """In a worker, find the queue that xdist fills."""
    manager = session.config.pluginmanager
    if not session_of(session.config).is_worker:
        return
    for plugin in manager.get_plugins():
        if hasattr(plugin, "torun") and hasattr(plugin, "nextitem_index"):
            manager.register(WorkerQueue(plugin), "lmms-worker-queue")
            return


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
        self.usage_error: str | None = None
        self.lost: dict[str, str] = {}
        """Documents that no worker survived: node id to what is known."""
        self.scheduler: BlockScheduling | None = None

    @pytest.hookimpl
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker its place, its run folder, and what its predecessor may have died of."""
        session = session_of(self.config)
        slot = self.slots.lease(node.gateway.id)
        node.workerinput["lmms"] = {
            "slot": slot,
            "num_workers": len(self.config.getvalue("tx")),
            "run_path": str(session.run_path),
            "is_resumed": session.is_resumed,
            "is_replacement": self.is_running,
            "suspects": list(self.suspects),
        }

    @pytest.hookimpl
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker is gone."""
        self.slots.release(node.gateway.id)
        message = getattr(node, "workeroutput", {}).get("lmms_usage_error")
        if message:
            session_of(self.config).usage_error = message

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> BlockScheduling | None:
        """Schedule blocks when documents may be run and the user asked for nothing else."""
        self.is_running = True
        if config.getvalue("dist") != "load" or not may_hold_tasks(config):
            return None
        from pytest_lmms.inference.engine import AUTO_BATCH_SIZE
        from pytest_lmms.plugin.run_document import WINDOW

        size = session_of(config).settings.batch_size
        self.scheduler = BlockScheduling(
            config,
            batch_size=AUTO_BATCH_SIZE if size == "auto" else size,
            window=WINDOW,
            give_up=self._give_up,
            suspects=self.suspects,
        )
        return self.scheduler

    def _give_up(self, nodeid: str, crashes: int) -> None:
        """Write and report the error record of a document that kills workers."""
        from pytest_lmms.plugin.recording import PROPERTY
        from pytest_lmms.records import Record
        from pytest_lmms.results.store import RunFolder

        message = f"{nodeid}: the worker process died {crashes} times while it ran this document alone"
        self.lost[nodeid] = message
        task = (task_of(nodeid) or "").rpartition("::")[2]
        doc_id = int(nodeid[nodeid.rfind("[") + 1 : -1])
        shard = RunFolder(session_of(self.config).run_path).shard("controller")
        shard.write(Record(task=task, doc_id=doc_id, status="error", error=message))
        shard.close()
        report = pytest.TestReport(
            nodeid=nodeid,
            location=(nodeid.partition("::")[0], 0, nodeid.rpartition("::")[2]),
            keywords={},
            outcome="failed",
            longrepr=message,
            when="call",
            user_properties=[(PROPERTY, {"task": task, "doc_id": doc_id, "status": "error", "score": None,
                                         "output_tokens": None, "cached": 0})],
        )  # fmt: skip
        self.config.hook.pytest_runtest_logreport(report=report)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Join in where this process is a controller of workers."""
    if config.pluginmanager.has_plugin("xdist") and session_of(config).is_distributed:
        config.pluginmanager.register(XdistController(config), "lmms-xdist-controller")
