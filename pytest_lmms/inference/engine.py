"""The engine: takes requests from many documents at once, and gets them answered.

One engine serves one model object. It runs an event loop on a thread of its own; a batch adapter is asked on one
more thread, the model thread, and on no other (one that has replicas elsewhere, on several); preparation (rendering,
media, tokenising) has a small pool, and whatever may wait long (an agent's tools) a larger one. It knows no task, no
document and no pytest. How an adapter is asked is told in `batched` and `singly`.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from pytest_lmms.errors import ModelError
from pytest_lmms.inference.batched import Batched
from pytest_lmms.inference.batching import Group
from pytest_lmms.inference.cache import KeyMaker, ResponseStore, digest_identity
from pytest_lmms.inference.desk import Desk, EngineSettings, Entry
from pytest_lmms.inference.offload import Offloader
from pytest_lmms.inference.singly import Singly
from pytest_lmms.records import Request, Response

__all__ = ["Engine", "EngineSettings", "Entry"]

AUTO_BATCH_SIZE = 16
"""Where `--lmms-batch-size auto` starts; halved whenever a batch does not fit."""
POLL_SECONDS = 0.5
NUM_ASIDE = 32
"""Functions that may run aside at once."""


class Engine:
    """Gets requests answered by one model."""

    def __init__(
        self, model: Any, *, store: ResponseStore | None = None, settings: EngineSettings | None = None
    ) -> None:
        """Take a model; nothing starts before `start`.

        Args:
            model: A `BatchModel` or an `AsyncModel`; see `inference.model`.
            store: Where responses are kept; None keeps none.
            settings: See `EngineSettings`.
        """
        self.model = model
        self.store = store
        self.settings = settings or EngineSettings()
        identity = getattr(model, "identity", None)
        self._keys = KeyMaker(digest_identity(identity) if identity is not None else "anonymous")
        size = self.settings.batch_size
        self.batch_size = AUTO_BATCH_SIZE if size == "auto" else size
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="lmms-engine", daemon=True)
        self._preparation = ThreadPoolExecutor(self.settings.num_preparation_threads, "lmms-prepare")
        self._aside = ThreadPoolExecutor(NUM_ASIDE, "lmms-aside")
        self._desk = Desk(model=model, store=store, settings=self.settings, loop=self._loop, stop=self._stop)
        self.call = self._desk.call
        self.offload = Offloader(self._loop, self._preparation, self.call).offload
        self.is_async = inspect.iscoroutinefunction(model.generate)
        self._batched = (
            None
            if self.is_async
            else Batched(self._desk, self._preparation, self.batch_size, started=self._note_started)
        )
        self._way: Batched | Singly = self._batched or Singly(self._desk, self.spawn)
        self._spawned: set[asyncio.Task[None]] = set()
        self._died: BaseException | None = None
        self._started = threading.Event()

    # --- what it says of itself ----------------------------------------------------------------------------------

    @property
    def num_asked(self) -> int:
        """Requests that the adapter has answered."""
        return self._desk.num_asked

    @property
    def is_stuck(self) -> bool:
        """Whether the adapter has not come back within the timeout; nothing more can be asked of it."""
        return self._desk.is_stuck

    @property
    def fitting_batch_size(self) -> int:
        """Largest size that has not run out of memory; below `batch_size` once one has."""
        return self._batched.threads.asker.fitting_batch_size if self._batched else self.batch_size

    @property
    def num_parallel(self) -> int:
        """Batches that the adapter has at once."""
        return self._batched.threads.num_parallel if self._batched else 1

    @property
    def alive(self) -> bool:
        """Whether the loop still runs."""
        return self._thread.is_alive()

    @property
    def cause_of_death(self) -> BaseException | None:
        """What ended the loop, when nobody asked it to."""
        return self._died

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the threads and the adapter.

        Raises:
            ModelError: The adapter's `start` failed.
        """
        self._thread.start()
        if self._batched is not None:
            self._batched.start()
        while not self._started.wait(POLL_SECONDS):
            if not self._thread.is_alive():
                break
        if self._died is not None:
            raise ModelError(f"the model could not be started: {self._died}") from self._died

    def _note_started(self, error: BaseException | None) -> None:
        """Take the news that a batch adapter has started, or what it failed of. On the model thread."""
        self._died = error
        self._started.set()
        if error is not None:
            self.call(self._loop.stop)

    def close(self) -> None:
        """Stop: what is unsent is given up; what the model has in hand may finish, within `shutdown_seconds`.

        Documents whose responses are there are scored and recorded before this returns.
        """
        if not self._thread.is_alive():
            return
        deadline = time.monotonic() + self.settings.shutdown_seconds
        self.stop()
        if self._batched is not None:
            self._batched.finish(self.settings.shutdown_seconds)
        idle = threading.Event()
        self.call(self._set_when_idle, idle, deadline)
        while not idle.wait(POLL_SECONDS) and self._thread.is_alive() and time.monotonic() < deadline:
            pass
        self.call(self._loop.stop)
        self._thread.join(max(1.0, deadline - time.monotonic()))
        for pool in (self._preparation, self._aside):
            pool.shutdown(wait=False, cancel_futures=True)
        if self.store is not None:
            self.store.close()

    def _set_when_idle(self, idle: threading.Event, deadline: float) -> None:
        """Set an event once no coroutine of ours is left on the loop; adapters may have some that end with `stop`."""
        if self._spawned and time.monotonic() < deadline:
            self._loop.call_later(0.01, self._set_when_idle, idle, deadline)
        else:
            idle.set()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the loop; to be called on the loop."""
        task = self._loop.create_task(coroutine)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    def call_soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on the loop, behind what is waiting there; to be called on the loop."""
        self._loop.call_soon(function, *args)

    def stop(self) -> None:
        """Give up what is unsent and accept nothing more; what is in hand goes on. From any thread."""
        self.call(self._stop)

    def _stop(self) -> None:
        self._desk.is_stopping = True
        self._way.give_up()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            if self.is_async:
                self._loop.run_until_complete(_maybe_await(getattr(self.model, "start", None)))
                self._started.set()
            self._loop.run_forever()
            if self.is_async:
                for task in (tasks := asyncio.all_tasks(self._loop)):
                    task.cancel()
                if tasks:
                    self._loop.run_until_complete(asyncio.wait(tasks, timeout=5))
                self._loop.run_until_complete(_maybe_await(getattr(self.model, "stop", None)))
        except BaseException as e:  # noqa: BLE001  (kept for `start`, or for whoever waits)
            self._died = e
        finally:
            self._started.set()
            self._loop.close()

    def aside(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Run a function that may take long, such as an agent's tool, where it holds up nobody. Loop only."""
        return self._loop.run_in_executor(self._aside, contextvars.copy_context().run, function, *args)

    # --- answering -----------------------------------------------------------------------------------------------

    def keys(self, requests: Sequence[Request]) -> list[str]:
        """Store keys of requests; digests media, so it belongs on a preparation thread."""
        return self._keys.keys(requests)

    async def answer(
        self, requests: Sequence[Request], keys: Sequence[str], *, group: Group[Entry] | None = None, position: int = 0
    ) -> list[Response]:
        """Get requests of one document answered, in order.

        Args:
            requests: What to ask.
            keys: Their store keys.
            group: The planned batch that they belong to; None lets them travel with whatever is waiting.
            position: The document's place in that batch.

        Raises:
            ModelError: The adapter failed on one of them.
            UnansweredError: The run was stopped first.
        """
        found: list[Response | Entry] = []
        for request, key in zip(requests, keys, strict=True):
            response = self.store.get(key) if self.store is not None else None
            found.append(response or Entry(request, key, self._loop.create_future()))
        self._way.put([f for f in found if isinstance(f, Entry)], group, position)
        return [await f.future if isinstance(f, Entry) else f for f in found]

    def arrive(self, group: Group[Entry], position: int) -> None:
        """Tell a planned batch that a member has dropped out. Loop only."""
        if self._batched is not None:
            self._batched.arrive(group, position)

    def between_rounds(self) -> AbstractContextManager[None]:
        """Around what a document does between a response and its next request: a batch may wait for it. Loop only."""
        return self._way.between_rounds()


async def _maybe_await(function: Callable[[], Any] | None) -> None:
    if function is not None:
        value = function()
        if inspect.isawaitable(value):
            await value
