"""Asking again: which failures may pass, how long to wait, and for how long one attempt may take.

Knows no provider; an adapter says what its client's errors mean.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from pytest_lmms.errors import ModelError
from pytest_lmms.inference.concurrency import Limiter

LONGEST_WAIT_SECONDS = 60.0
OVERLOAD_STATUSES = frozenset({408, 425, 429, 503, 529})
"""HTTP statuses by which servers say that they are asked too much."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What an attempt's error means."""

    message: str
    """For the user, if no attempt succeeds; built by `errors.explain`."""
    may_pass: bool
    """Whether asking again can help."""
    is_overload: bool = False
    """Whether asking less at a time would help."""
    retry_after_seconds: float | None = None
    """What the server said."""


def worth_retrying(status: int) -> bool:
    """Whether an HTTP status may be another one next time: conflicts, overload, and the server's own errors."""
    return status in OVERLOAD_STATUSES or status == 409 or status >= 500


def retry_after_seconds(headers: Mapping[str, str] | None) -> float | None:
    """Read Retry-After: seconds or a date; also OpenAI's ``retry-after-ms``.

    Args:
        headers: Of a response, found by lower-case name.

    Returns:
        Seconds from now, at least 0; None when nothing readable was said.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        said = headers.get(name) if headers is not None else None
        if said is None:
            continue
        try:
            return max(0.0, float(said) * unit)
        except ValueError:
            pass
        try:
            moment = email.utils.parsedate_to_datetime(said)
        except ValueError:
            continue
        return max(0.0, moment.timestamp() - time.time())
    return None


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often, and after how long."""

    max_retries: int = 5
    """Attempts after the first."""
    backoff_seconds: float = 1.0
    """Before the second attempt; doubled each time up to 60, with a random factor from 0.5 to 1."""
    longest_retry_after_seconds: float = 600.0
    """A server that asks for more patience than this is asked after it all the same."""

    def wait_seconds(self, failure: Failure, num_attempts: int) -> float:
        """How long to wait after so many attempts. What the server said is obeyed."""
        if failure.retry_after_seconds is not None:
            return min(failure.retry_after_seconds, self.longest_retry_after_seconds)
        longest = min(self.backoff_seconds * 2.0 ** (num_attempts - 1), LONGEST_WAIT_SECONDS)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


async def ask_until_answered(
    attempt: Callable[[], Awaitable[T]],
    meaning: Callable[[Exception, int], Failure],
    *,
    limiter: Limiter,
    policy: RetryPolicy,
) -> tuple[T, int]:
    """Make attempts until one succeeds or none can.

    An attempt waits for the limiter; between attempts its place is free for others.

    Args:
        attempt: Makes one.
        meaning: (error, number of attempts so far) to what it means.
        limiter: Where attempts wait for their turn.
        policy: How often, and after how long.

    Returns:
        What the attempt returned, and how many there were.

    Raises:
        ModelError: None succeeded; the message is the last failure's.
    """
    num_attempts = 0
    while True:
        await limiter.enter(is_repeated=num_attempts > 0)
        num_attempts += 1
        with limiter.attempt() as state:
            try:
                return await attempt(), num_attempts
            except Exception as error:  # noqa: BLE001 - the adapter says what it means
                failure = meaning(error, num_attempts)
                cause = error
                state.is_failure = failure.may_pass
                state.is_overload = failure.is_overload
        if not failure.may_pass or num_attempts > policy.max_retries:
            try:
                raise ModelError(failure.message) from cause
            finally:
                del cause  # its traceback holds this frame, and in others the reply: megabytes, at times
        del cause
        await asyncio.sleep(policy.wait_seconds(failure, num_attempts))


class Deadline:
    """An asynchronous context that ends with TimeoutError when its time is up; the time may be moved."""

    def __init__(self, seconds: float | None) -> None:
        """Set the time.

        Args:
            seconds: From entering; None for ever.
        """
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None
        self.is_over = False

    def move(self, seconds: float | None) -> None:
        """Count anew: so many seconds from now, or for ever."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None and not self.is_over:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self.is_over = True
        if self._task is not None:
            self._task.cancel()

    async def __aenter__(self) -> Deadline:  # noqa: PYI034 - Self is newer than Python 3.10
        self._task = asyncio.current_task()
        self.move(self._seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.move(None)
        if self.is_over and kind is asyncio.CancelledError:
            uncancel = getattr(self._task, "uncancel", None)  # Python 3.11
            if uncancel is not None:
                uncancel()
            raise TimeoutError from error
