"""Which worker runs which documents under `-n`: whole batches, in blocks, and what happens when a worker dies.

Index arithmetic behind xdist's `Scheduling` protocol; `controller` has the hooks. The only importer of xdist, and of
it only what its plugins may use. A block is one or more whole batches of one task; blocks shrink towards the end so
that workers finish together. A worker always holds two items or more, because it does not start its last one before
it hears what comes next.

When a worker dies, everything that it had not recorded goes out again; the documents that were in flight run alone,
in a worker that replaces it and has been told their names. One that takes two workers down alone gets an error
record from here.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest

from pytest_lmms.plugin.units import plan_units, task_of

BLOCKS_PER_WORKER = 8
"""Into how many blocks a worker's share is cut, roughly."""
MAX_BLOCK = 512
LONE_CRASHES = 2


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
            # A first block of one batch is at low water already. The batch it lacks is dealt out in turn, or who
            # finishes first takes one with its first item and one with its last, before the others say a word.
            self._serve_all()
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
