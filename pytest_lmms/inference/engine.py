"""The engine: takes requests from many documents at once, and gets them answered.

One engine serves one model object. It runs an event loop on a thread of its own; a batch adapter is asked on one
more thread, the model thread, and on no other (one that has replicas elsewhere, on several); preparation (rendering,
media, tokenising) has a small pool. It knows no task, no document and no pytest.
"""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from pytest_lmms.errors import ModelError, OutOfMemoryError, UnansweredError
from pytest_lmms.inference.batching import Group, by_kind, split
from pytest_lmms.inference.cache import KeyMaker, ResponseStore, digest_identity
from pytest_lmms.inference.model import admitted_by, asked_in_parallel, no_logprobs
from pytest_lmms.inference.offload import Offloader
from pytest_lmms.inference.ordering import Queue
from pytest_lmms.inference.pooling import Pool
from pytest_lmms.records import Request, Response, Timing

AUTO_BATCH_SIZE = 16
"""Where `--lmms-batch-size auto` starts; halved whenever a batch does not fit."""
AHEAD = 2
"""Batches prepared while one is being answered."""
LEAST_WAIT_SECONDS = 1.0
"""A model with nothing to do waits at least so long for documents between two rounds, before it is given fewer requests
than a batch holds."""
POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How an engine runs."""

    batch_size: int | Literal["auto"] = 1
    timeout_seconds: float | None = None
    """For one request or batch, from the moment the adapter has it; None waits for ever."""
    num_preparation_threads: int = 2
    shutdown_seconds: float = 30.0
    """How long a stopped run waits for the batch in hand."""
    is_replaceable: bool = False
    """Another process will ask what a stuck adapter leaves: those requests stay unanswered, and are no errors."""
    spend: Callable[[Sequence[Response]], bool] | None = None
    """Called with responses that were really asked for, on the loop or on the model thread; once it returns False,
    nothing more is sent."""


class Entry(NamedTuple):
    """One request on its way to the model."""

    request: Request
    key: str
    future: asyncio.Future[Response]


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
        self.is_async = inspect.iscoroutinefunction(model.generate)
        identity = getattr(model, "identity", None)
        self._keys = KeyMaker(digest_identity(identity) if identity is not None else "anonymous")
        size = self.settings.batch_size
        self.batch_size = AUTO_BATCH_SIZE if size == "auto" else size
        self.fitting_batch_size = self.batch_size
        """Largest size that has not run out of memory; below `batch_size` once one has."""
        self.num_asked = 0
        self._timeout_seconds = None if getattr(model, "keeps_time", False) else self.settings.timeout_seconds
        self._prepares = hasattr(model, "prepare") and hasattr(model, "generate_prepared")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="lmms-engine", daemon=True)
        self._pool_of_threads = ThreadPoolExecutor(self.settings.num_preparation_threads, "lmms-prepare")
        self._jobs: queue.SimpleQueue[tuple[Sequence[Entry], ThreadFuture[Any] | None] | None] = queue.SimpleQueue()
        self.num_parallel = 1 if self.is_async else asked_in_parallel(model)
        """Batches that the adapter has at once."""
        self._model_threads = [threading.Thread(target=self._run_model, name="lmms-model", daemon=True)]
        self._model_threads += [
            threading.Thread(target=self._work, name=f"lmms-model-{number}", daemon=True)
            for number in range(2, self.num_parallel + 1)
        ]
        self._bookkeeping = threading.Lock()
        """For what several model threads write."""
        self._ready: deque[Sequence[Entry]] = deque()
        self._pool: Pool[Entry] = Pool()
        self._wait: asyncio.TimerHandle | None = None
        """Ends the wait of a model that has nothing to do for requests that are about to come."""
        self._is_feeding_soon = False
        self._call_seconds = 0.0
        """How long the last batch took."""
        self._num_dispatched = 0
        self.offload = Offloader(self._loop, self._pool_of_threads, self._call).offload
        self._queue: Queue[Entry] = Queue(getattr(model, "prefix_characters", None))
        """Requests that wait for an async adapter."""
        self._answered: list[tuple[Entry, Response]] = []
        """By an async adapter, in this turn of the loop."""
        self._spawned: set[asyncio.Task[None]] = set()
        self._num_inside = 0
        """Requests that the async adapter has."""
        self._busy: dict[int, tuple[float, Sequence[Entry]]] = {}
        """By model thread: since when it asks what."""
        self._stopping = False
        self.is_stuck = False
        """The adapter has not come back within the timeout; nothing more can be asked of it."""
        self._died: BaseException | None = None
        self._started = threading.Event()

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the threads and the adapter.

        Raises:
            ModelError: The adapter's `start` failed.
        """
        self._thread.start()
        if not self.is_async:
            self._model_threads[0].start()
        while not self._started.wait(POLL_SECONDS):
            if not self._thread.is_alive():
                break
        if self._died is not None:
            raise ModelError(f"the model could not be started: {self._died}") from self._died

    def close(self) -> None:
        """Stop: what is unsent is given up; what the model has in hand may finish, within `shutdown_seconds`.

        Documents whose responses are there are scored and recorded before this returns.
        """
        if not self._thread.is_alive():
            return
        deadline = time.monotonic() + self.settings.shutdown_seconds
        self._call(self._stop)
        if not self.is_async and not self.is_stuck:
            for _ in self._model_threads:
                self._jobs.put(None)
            self._model_threads[0].join(self.settings.shutdown_seconds)
        idle = threading.Event()
        self._call(self._set_when_idle, idle, deadline)
        while not idle.wait(POLL_SECONDS) and self._thread.is_alive() and time.monotonic() < deadline:
            pass
        self._call(self._loop.stop)
        self._thread.join(max(1.0, deadline - time.monotonic()))
        self._pool_of_threads.shutdown(wait=False, cancel_futures=True)
        if self.store is not None:
            self.store.close()

    def _set_when_idle(self, idle: threading.Event, deadline: float) -> None:
        """Set an event once no coroutine of ours is left on the loop; adapters may have some that end with `stop`."""
        if self._spawned and time.monotonic() < deadline:
            self._loop.call_later(0.01, self._set_when_idle, idle, deadline)
        else:
            idle.set()

    def _call(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop has ended; whoever waits learns it from `alive`
            pass

    @property
    def alive(self) -> bool:
        """Whether the loop still runs."""
        return self._thread.is_alive()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the loop; to be called on the loop."""
        task = self._loop.create_task(coroutine)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on the loop, from any thread."""
        self._call(function, *args)

    def call_soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on the loop, behind what is waiting there; to be called on the loop."""
        self._loop.call_soon(function, *args)

    def stop(self) -> None:
        """Give up what is unsent and accept nothing more; what is in hand goes on. From any thread."""
        self._call(self._stop)

    @property
    def cause_of_death(self) -> BaseException | None:
        """What ended the loop, when nobody asked it to."""
        return self._died

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
        asked: list[Entry] = []
        for request, key in zip(requests, keys, strict=True):
            response = self.store.get(key) if self.store is not None else None
            if response is None:
                entry = Entry(request, key, self._loop.create_future())
                asked.append(entry)
                found.append(entry)
            else:
                found.append(response)
        if self.is_async:
            for entry in asked:
                self._queue.put(entry, entry.request, position)
            self._loop.call_soon(self._admit)
        elif group is not None:
            self.arrive(group, position, asked)
        elif asked:
            for entry in asked:
                self._pool.put(entry, entry.request)
            self._feed_soon()
        return [await f.future if isinstance(f, Entry) else f for f in found]

    def arrive(self, group: Group[Entry], position: int, entries: Sequence[Entry] = ()) -> None:
        """Tell a planned batch that a member is there, or (without entries) has dropped out. Loop only."""
        complete = group.arrive(position, entries)
        if complete:
            self._dispatch(complete)

    @contextmanager
    def between_rounds(self) -> Iterator[None]:
        """Around what a document does between a response and its next request: a batch may wait for it. Loop only."""
        self._pool.num_expected += 1
        try:
            yield
        finally:
            self._pool.num_expected -= 1
            self._feed_soon()

    def _dispatch(self, entries: Sequence[Entry]) -> None:
        for part in by_kind(entries, [e.request for e in entries]):
            self._ready.extend(split(part, self.batch_size))
        self._feed()

    def _feed_soon(self) -> None:
        if not self._is_feeding_soon:
            self._is_feeding_soon = True
            self._loop.call_soon(self._feed)

    def _feed(self, *, has_waited: bool = False) -> None:
        """Hand batches to preparation and the model thread, never more than a few ahead."""
        self._is_feeding_soon = False
        while self._num_dispatched < AHEAD + self.num_parallel:
            batch = self._next_batch(has_waited=has_waited)
            if batch is None:
                break
            has_waited = False
            if self._stopping or self.is_stuck:
                self._fail(batch, self._refusal())
                continue
            self._pool.note_gone()
            self._num_dispatched += 1
            prepared = None
            if self._prepares and self.fitting_batch_size >= len(batch) and batch[0].request.continuation is None:
                prepared = self._pool_of_threads.submit(self.model.prepare, [e.request for e in batch])
            self._jobs.put((batch, prepared))
        self._limit_wait()

    def _next_batch(self, *, has_waited: bool) -> Sequence[Entry] | None:
        """A batch of documents that have begun, before one of the plan: what is begun ends, and others can begin."""
        is_over = self._stopping or self.is_stuck
        pooled = self._pool.take(
            self.fitting_batch_size, is_idle=is_over or self._is_idle, has_waited=is_over or has_waited
        )
        return pooled or (self._ready.popleft() if self._ready else None)

    @property
    def _is_idle(self) -> bool:
        """Whether the adapter could be asked something at once, and no planned batch is there."""
        return self._num_dispatched < self.num_parallel and not self._ready

    def _limit_wait(self) -> None:
        """Let an adapter that has nothing to do wait for documents between two rounds, but not for ever.

        A document whose tools take long must not hold up the others: as long as a call takes is what waiting can save.
        """
        if not (self._pool and self._is_idle):
            if self._wait is not None:
                self._wait.cancel()
                self._wait = None
        elif self._wait is None:
            seconds = max(LEAST_WAIT_SECONDS, self._call_seconds)
            self._wait = self._loop.call_later(seconds, self._end_wait)

    def _end_wait(self) -> None:
        self._wait = None
        self._feed(has_waited=True)

    def _refusal(self) -> ModelError:
        if self.is_stuck:
            kind = UnansweredError if self.settings.is_replaceable else ModelError
            return kind("not asked: an earlier batch is stuck in the adapter")
        return UnansweredError("not asked: the run was stopped")

    def _stop(self) -> None:
        self._stopping = True
        if self.is_async and hasattr(self.model, "give_up"):
            self.model.give_up()
        self._feed_nothing()

    def _feed_nothing(self) -> None:
        while self._ready:
            self._fail(self._ready.popleft(), self._refusal())
        while (waiting := self._pool.take(AUTO_BATCH_SIZE, is_idle=True, has_waited=True)) is not None:
            self._fail(waiting, self._refusal())
        while self._queue:
            self._fail([self._queue.take()], self._refusal())

    @staticmethod
    def _fail(batch: Sequence[Entry], error: BaseException) -> None:
        for entry in batch:
            if not entry.future.done():
                entry.future.set_exception(error)

    def _admit(self) -> None:
        """Give an async adapter as many requests as it wants to have."""
        if self._stopping:
            self._feed_nothing()
        while self._queue and self._num_inside < admitted_by(self.model):
            self._num_inside += 1
            self._num_dispatched += 1
            self.spawn(self._ask_one(self._queue.take()))

    async def _ask_one(self, entry: Entry) -> None:
        """Ask an async adapter one request."""
        answered: tuple[Entry, Response] | None = None
        try:
            if self._stopping:
                raise self._refusal()
            start = time.perf_counter()
            ask = self.model.generate if entry.request.continuation is None else self._scores()
            response = await asyncio.wait_for(ask(entry.request), self.settings.timeout_seconds)
            _check(response, entry.request)
            self.num_asked += 1
            timing = response.timing or Timing(seconds=time.perf_counter() - start)
            answered = (entry, replace(response, timing=replace(timing, finished=time.time())))
        except asyncio.TimeoutError:
            self._fail([entry], ModelError(f"no response within {self.settings.timeout_seconds} s"))
        except asyncio.CancelledError:
            self._fail([entry], self._refusal())
            raise
        except Exception as e:  # noqa: BLE001  (belongs to this document alone)
            self._fail([entry], e)
        finally:
            if answered is None:
                self._leave(1)
            else:
                if not self._answered:
                    self._loop.call_soon(self._settle)
                self._answered.append(answered)

    def _settle(self) -> None:
        """Store, with one write, what an async adapter answered in this turn of the loop; then hand it out."""
        answered, self._answered = self._answered, []
        try:
            if self.store is not None:
                self.store.put([(entry.key, response) for entry, response in answered])
            self._spend([response for _, response in answered])
        except Exception as e:  # noqa: BLE001  (a full disk, say: told by each document)
            self._fail([entry for entry, _ in answered], e)
        for entry, response in answered:
            if not entry.future.done():
                entry.future.set_result(response)
        self._leave(len(answered))

    def _leave(self, number: int) -> None:
        self._num_dispatched -= number
        self._num_inside -= number
        self._admit()

    # --- the model thread ----------------------------------------------------------------------------------------

    def _run_model(self) -> None:
        try:
            if hasattr(self.model, "start"):
                self.model.start()
        except BaseException as e:  # noqa: BLE001
            self._died = e
            self._started.set()
            self._call(self._loop.stop)
            return
        if self._timeout_seconds is not None:
            self._call(self._watch)
        self._started.set()
        for thread in (others := self._model_threads[1:]):
            thread.start()
        self._work()
        for thread in others:
            thread.join()
        if hasattr(self.model, "stop"):
            self.model.stop()

    def _work(self) -> None:
        """Answer batches until there are no more."""
        here = threading.get_ident()
        while (job := self._jobs.get()) is not None:
            batch, prepared = job
            self._busy[here] = (time.monotonic(), batch)
            since = time.monotonic()
            self._answer_batch(batch, prepared)
            self._call_seconds = time.monotonic() - since
            self._busy.pop(here, None)

    def _restart_watch(self) -> float:
        """Give what begins now the whole of the timeout; return the time by `time.perf_counter`."""
        here = threading.get_ident()
        self._busy[here] = (time.monotonic(), self._busy[here][1])
        return time.perf_counter()

    def _watch(self) -> None:
        """Notice a batch that never comes back."""
        limit = self._timeout_seconds
        now = time.monotonic()
        late = [batch for since, batch in list(self._busy.values()) if limit is not None and now - since > limit]
        if late:
            self.is_stuck = True
            for batch in late:
                self._fail(batch, ModelError(f"no response within {limit} s: the adapter's generate is stuck"))
            self._feed_nothing()
            while not self._jobs.empty():
                job = self._jobs.get()
                if job is not None:
                    self._fail(job[0], self._refusal())
            return
        self._loop.call_later(min(POLL_SECONDS, (limit or 1) / 4), self._watch)

    def _answer_batch(self, batch: Sequence[Entry], prepared: ThreadFuture[Any] | None) -> None:
        """Answer one planned batch on the model thread; every entry ends with a response or an error."""
        if self._stopping:
            outcomes: list[tuple[Entry, Response | BaseException]] = [(e, self._refusal()) for e in batch]
        elif len(batch) > self.fitting_batch_size:
            outcomes = self._ask_parts(batch, self.fitting_batch_size, "batch_halved")
        else:
            outcomes = self._ask(batch, prepared)
        try:
            with self._bookkeeping:
                if self.store is not None:
                    self.store.put([(e.key, r) for e, r in outcomes if isinstance(r, Response)])
                self._spend([r for _, r in outcomes if isinstance(r, Response)])
        except Exception as e:  # noqa: BLE001  (a full disk, say: told by each document)
            outcomes = [(entry, e if isinstance(outcome, Response) else outcome) for entry, outcome in outcomes]
        self._call(self._resolve, outcomes)

    def _ask_parts(
        self, batch: Sequence[Entry], size: int, flag: str | None
    ) -> list[tuple[Entry, Response | BaseException]]:
        """Ask a batch in pieces, no larger than what is known to fit by the time each is asked."""
        outcomes: list[tuple[Entry, Response | BaseException]] = []
        while len(outcomes) < len(batch):
            start = len(outcomes)
            for entry, outcome in self._ask(batch[start : start + min(size, self.fitting_batch_size)], None):
                if flag and isinstance(outcome, Response) and flag not in outcome.flags:
                    outcome = replace(outcome, flags=(*outcome.flags, flag))
                outcomes.append((entry, outcome))
        return outcomes

    def _ask(
        self, batch: Sequence[Entry], prepared: ThreadFuture[Any] | None
    ) -> list[tuple[Entry, Response | BaseException]]:
        requests = [e.request for e in batch]
        start = self._restart_watch()
        try:
            if requests[0].continuation is not None:
                responses = self._scores()(requests)
            elif self._prepares:
                ready = prepared.result() if prepared is not None else self.model.prepare(requests)
                start = self._restart_watch()
                responses = self.model.generate_prepared(ready, requests)
            else:
                responses = self.model.generate(requests)
            if not isinstance(responses, list) or len(responses) != len(batch):
                raise ModelError(
                    f"{type(self.model).__name__}.generate returned "
                    f"{len(responses) if isinstance(responses, list) else type(responses).__name__} "
                    f"for {len(batch)} requests; expected a list of as many responses"
                )
            for response, request in zip(responses, requests, strict=True):
                _check(response, request)
        except OutOfMemoryError as e:
            if len(batch) == 1:
                return [(batch[0], e)]
            half = -(-len(batch) // 2)
            self.fitting_batch_size = min(self.fitting_batch_size, half)
            return self._ask_parts(batch, half, "batch_halved")
        except Exception as e:  # noqa: BLE001  (found out below which request is at fault)
            if len(batch) == 1:
                return [(batch[0], e)]
            return self._ask_parts(batch, 1, None)
        with self._bookkeeping:
            self.num_asked += len(batch)
        finished = time.time()
        timing = Timing(seconds=time.perf_counter() - start, batch_size=len(batch), finished=finished)
        timed: list[Response | BaseException] = [
            replace(r, timing=timing if r.timing is None else replace(r.timing, finished=finished)) for r in responses
        ]
        return list(zip(batch, timed, strict=True))

    def _spend(self, responses: Sequence[Response]) -> None:
        if self.settings.spend is not None and responses and not self.settings.spend(responses):
            self._stopping = True
            self.stop()

    def _scores(self) -> Callable[..., Any]:
        """The adapter's `score`.

        Raises:
            ModelError: It has none.
        """
        score: Callable[..., Any] | None = getattr(self.model, "score", None)
        if score is None:
            raise ModelError(no_logprobs(self.model))
        return score

    def _resolve(self, outcomes: Sequence[tuple[Entry, Response | BaseException]]) -> None:
        self._num_dispatched -= 1
        for entry, outcome in outcomes:
            if entry.future.done():
                continue
            if isinstance(outcome, Response):
                entry.future.set_result(outcome)
            else:
                entry.future.set_exception(outcome)
        if self._ready:
            self._feed()
        # Documents hear of their responses in the next turn of the loop; those asked several times, in the one after.
        self._loop.call_soon(self._feed_soon)


def _check(response: Any, request: Request) -> None:
    if not isinstance(response, Response) or not isinstance(response.text, str):
        raise ModelError(
            f"the adapter returned {response!r:.80} where a pytest_lmms.records.Response with a text was expected"
        )
    if request.continuation is not None and response.logprob is None:
        raise ModelError("the adapter's score returned a response without logprob")


async def _maybe_await(function: Callable[[], Any] | None) -> None:
    if function is not None:
        value = function()
        if inspect.isawaitable(value):
            await value
