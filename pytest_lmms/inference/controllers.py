"""How many requests a server is asked at once: controllers, which move a limit by what became of attempts.

Arithmetic alone: knows no provider, no request, and no clock but the one it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pytest_lmms.errors import UsageError, explain

START = 32
"""Where a controller begins that was told no number."""
MOST = 256
"""How far it goes then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one attempt."""

    seconds: float
    """From its start to its end."""
    num_in_flight: int
    """Attempts in flight while it began, itself included."""
    is_overload: bool = False
    """The server said that it is asked too much, or did not answer at all."""
    is_failure: bool = False
    """It failed, for whatever reason."""


class Controller(Protocol):
    """Decides how many attempts may be in flight."""

    limit: int
    """How many, at this moment."""
    most: int
    """The largest `limit` there will be."""

    def observe(self, outcome: Outcome, now: float) -> None:
        """Learn from one attempt.

        Args:
            outcome: What became of it.
            now: Seconds, on any clock that only goes forward.
        """
        ...


class Fixed:
    """Always the same number."""

    def __init__(self, limit: int) -> None:
        self.limit = self.most = limit

    def observe(self, outcome: Outcome, now: float) -> None:
        """Change nothing."""


class Adaptive:
    """Finds the number that a server bears.

    Time is cut into rounds, of as many successes as the limit at their beginning. The limit doubles from round to
    round until the server refuses, or until the last doubling made it hardly faster. After a refusal the limit falls
    to nine tenths of what was in flight, once for all attempts that were in flight together, and climbs again: one
    more a round up to just below the level that was refused, and beyond it only after `PATIENCE` calm rounds, because
    each such step may cost a refusal.
    """

    DECREASE = 0.9
    PATIENCE = 8
    """Rounds without a refusal before a level that was refused is tried again."""
    GAIN = 0.25
    """The share of a step upwards that has to come back as speed; with less, the server only queues."""

    def __init__(self, *, start: int, most: int, least: int = 1) -> None:
        """Begin.

        Args:
            start: The first limit.
            most: The largest.
            least: The smallest.
        """
        self.limit = max(least, min(start, most))
        self.most = most
        self._least = least
        self._ceiling = most
        """Above it, a step takes `PATIENCE` rounds."""
        self._is_doubling = self.limit < most
        self._num_calm_rounds = 0
        self._decreased = float("-inf")
        """When the limit last fell."""
        self._pace: tuple[int, float] | None = None
        """(limit, successes a second) of the round before, while doubling."""
        self._round: tuple[int, float | None] = (self.limit, None)
        """(successes that the round takes, when it began); None before anything came back."""
        self._num_successes = 0

    def observe(self, outcome: Outcome, now: float) -> None:
        """See `Controller`."""
        size, began = self._round
        if began is None:
            self._round = (size, now - outcome.seconds)
        if outcome.is_overload:
            self._refused(outcome, now)
        elif not outcome.is_failure:
            self._num_successes += 1
            if self._num_successes >= size:
                self._end_round(now)

    def _refused(self, outcome: Outcome, now: float) -> None:
        if now - outcome.seconds < self._decreased:
            return  # it began before the limit fell: the same news once more
        level = min(outcome.num_in_flight, self.limit)
        self._ceiling = max(self._least, level - 1)
        self._is_doubling = False
        self._decreased = now
        self._set(min(level - 1, int(level * self.DECREASE)), now)
        self._num_calm_rounds = 0

    def _end_round(self, now: float) -> None:
        self._num_calm_rounds += 1
        limit = self.limit
        if self._is_doubling:
            limit = self._after_doubling(now)
        elif limit < self._ceiling:
            limit += 1
        elif self._num_calm_rounds >= self.PATIENCE and limit < self.most:
            limit = self._ceiling = limit + 1
            self._num_calm_rounds = 0
        self._set(limit, now)

    def _after_doubling(self, now: float) -> int:
        """The next limit: twice this one, or the one before when this one has not paid."""
        size, began = self._round
        rate = self._num_successes / max(now - (began or 0.0), 1e-9)
        if self._pace is not None:
            before, slower = self._pace
            if rate < slower * (1 + self.GAIN * (size / before - 1)):
                self._is_doubling = False
                self._ceiling = before
                return before
        self._pace = (size, rate)
        self._is_doubling = 2 * size < self.most
        return 2 * size

    def _set(self, limit: int, now: float) -> None:
        self.limit = max(self._least, min(limit, self.most))
        self._round = (self.limit, now)
        self._num_successes = 0


class Windowed:
    """lmms-eval's controller: after every window of attempts, look at failures and at the slow end of latencies.

    A window is `max(4, limit)` attempts. The limit is multiplied by `decrease_factor` when too many were refused
    (2 %, or `failure_threshold` if that is more), more than `failure_threshold` failed, or the 95th percentile of
    seconds is above 1.1 times the target. It grows by the share `increase_step`, at least by one, when none was
    refused, at most half the threshold failed, and the percentile is below 0.85 times the target.
    """

    def __init__(
        self,
        *,
        start: int,
        most: int = 128,
        least: int = 1,
        target_latency_s: float = 15.0,
        increase_step: float = 0.1,
        decrease_factor: float = 0.7,
        failure_threshold: float = 0.05,
    ) -> None:
        """Take the settings; those out of range are moved into it, as lmms-eval does.

        Args:
            start: The first limit.
            most: The largest, at least `least`.
            least: The smallest, at least 1.
            target_latency_s: At least 0.1 seconds.
            increase_step: At least 0.01.
            decrease_factor: 0.1 to 0.95.
            failure_threshold: 0 to 1.
        """
        self._least = max(1, least)
        self.most = max(self._least, most)
        self.limit = max(self._least, min(start, self.most))
        self._target = max(0.1, target_latency_s)
        self._step = max(0.01, increase_step)
        self._factor = min(0.95, max(0.1, decrease_factor))
        self._threshold = min(1.0, max(0.0, failure_threshold))
        self._window: list[Outcome] = []

    def observe(self, outcome: Outcome, now: float) -> None:  # noqa: ARG002
        """See `Controller`."""
        self._window.append(outcome)
        if len(self._window) < max(4, self.limit):
            return
        window, self._window = self._window, []
        refused = sum(o.is_overload for o in window) / len(window)
        failed = sum(o.is_failure or o.is_overload for o in window) / len(window)
        slow = sorted(o.seconds for o in window)[int(0.95 * (len(window) - 1))]
        if refused >= max(0.02, self._threshold) or failed > self._threshold or slow > 1.1 * self._target:
            self.limit = max(self._least, int(self.limit * self._factor))
        elif refused == 0 and failed <= 0.5 * self._threshold and slow < 0.85 * self._target:
            self.limit = min(self.most, self.limit + max(1, int(self.limit * self._step)))


def make_controller(
    kind: str, *, num_concurrent: int | None, adaptive: bool | None = None, **windowed: float | None
) -> Controller:
    """Choose a controller by what the user typed.

    Args:
        kind: ``adaptive`` (ours), ``windowed`` (lmms-eval's) or ``fixed``.
        num_concurrent: The most in flight, and where to begin. None: begin at 32, go up to 256.
        adaptive: lmms-eval's switch: True is ``windowed``, False is ``fixed``, None leaves it to `kind`.
        windowed: Settings of `Windowed`; None keeps its own. `most` and `least` bound ``adaptive``, too.

    Raises:
        UsageError: Another kind, or an impossible number.
    """
    if adaptive is not None:
        kind = "windowed" if adaptive else "fixed"
    if num_concurrent is not None and num_concurrent < 1:
        raise UsageError(explain(f"num_concurrent={num_concurrent}", expected="at least 1"))
    said = {name: value for name, value in windowed.items() if value is not None}
    start = num_concurrent or START
    if kind == "fixed":
        return Fixed(start)
    if kind == "windowed":
        return Windowed(start=start, **said)  # type: ignore[arg-type]
    if kind == "adaptive":
        most = int(said.get("most", num_concurrent or MOST))
        return Adaptive(start=start, most=most, least=max(1, int(said.get("least", 1))))
    raise UsageError(explain(f"{kind!r}", where="concurrency", expected="adaptive, windowed (lmms-eval's) or fixed"))
