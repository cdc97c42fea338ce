"""What both ways of asking a model share: requests on their way, what is kept of responses, and what ends it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pytest_lmms.errors import ModelError, UnansweredError
from pytest_lmms.inference.cache import ResponseStore
from pytest_lmms.inference.model import no_logprobs
from pytest_lmms.records import Request, Response


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
    give_up_run: Callable[[str], None] | None = None
    """Called with the reason, on the loop or on a model thread, when responses cannot be kept (a full disk, say).
    Nothing more is sent then: it would have to be asked again."""


class Entry(NamedTuple):
    """One request on its way to the model."""

    request: Request
    key: str
    future: asyncio.Future[Response]


Outcome = tuple[Entry, Response | BaseException]
"""A request, and what became of it."""


@dataclass(kw_only=True)
class Desk:
    """One model, and what is known of asking it. `call` and `keep` may be used on any thread."""

    model: Any
    store: ResponseStore | None
    settings: EngineSettings
    loop: asyncio.AbstractEventLoop
    stop: Callable[[], None]
    """Gives up what is unsent; on the loop."""
    num_asked: int = 0
    is_stopping: bool = False
    is_stuck: bool = False
    """The adapter has not come back within the timeout; nothing more can be asked of it."""
    _bookkeeping: threading.Lock = field(default_factory=threading.Lock, init=False)

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on the loop; once that has ended, do nothing."""
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop has ended; whoever waits learns it from `Engine.alive`
            pass

    @property
    def is_over(self) -> bool:
        """Whether nothing more is sent."""
        return self.is_stopping or self.is_stuck

    def refusal(self) -> ModelError:
        """Why a request was not sent."""
        if self.is_stuck:
            kind = UnansweredError if self.settings.is_replaceable else ModelError
            return kind("not asked: an earlier batch is stuck in the adapter")
        return UnansweredError("not asked: the run was stopped")

    def count(self, number: int) -> None:
        """Count requests that the adapter has answered."""
        with self._bookkeeping:
            self.num_asked += number

    def keep(self, answered: Sequence[tuple[Entry, Response]]) -> None:
        """Store responses with one write, and take them from the budget.

        Raises:
            OSError: They could not be stored: a full disk, say. Nothing more is asked.
        """
        with self._bookkeeping:
            try:
                if self.store is not None:
                    self.store.put([(entry.key, response) for entry, response in answered])
            except OSError as e:
                self._end()
                if self.settings.give_up_run is not None:
                    self.settings.give_up_run(f"responses cannot be kept: {e}; --lmms-resume goes on when they can")
                raise
            spend = self.settings.spend
            if spend is not None and answered and not spend([response for _, response in answered]):
                self._end()

    def _end(self) -> None:
        """Send nothing more, from now on."""
        self.is_stopping = True
        self.call(self.stop)


def fail(entries: Sequence[Entry], error: BaseException) -> None:
    """Give up requests that nobody has answered yet. Loop only."""
    for entry in entries:
        if not entry.future.done():
            entry.future.set_exception(error)


def scorer_of(model: Any) -> Callable[..., Any]:
    """An adapter's `score`.

    Raises:
        ModelError: It has none.
    """
    score: Callable[..., Any] | None = getattr(model, "score", None)
    if score is None:
        raise ModelError(no_logprobs(model))
    return score


def check(response: Any, request: Request) -> None:
    """Check what an adapter returned for a request.

    Raises:
        ModelError: It is no response with a text; or has no log-probability where one was asked for.
    """
    if not isinstance(response, Response) or not isinstance(response.text, str):
        raise ModelError(
            f"the adapter returned {response!r:.80} where a pytest_lmms.records.Response with a text was expected"
        )
    if request.continuation is not None and response.logprob is None:
        raise ModelError("the adapter's score returned a response without logprob")
