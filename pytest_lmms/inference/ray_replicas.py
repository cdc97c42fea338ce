"""Replicas on a Ray cluster: which are there, which has room, and what becomes of those that die or hang.

A replica is a seat: the actor in it may be another one after each death. It is filled on a thread of its own, so that
the others go on meanwhile; when it cannot be filled it is given up, with the cause kept for the summary.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_lmms.errors import LmmsError, ModelError, UnansweredError, UsageError, explain
from pytest_lmms.inference.ray_cluster import ActorLostError, Cluster
from pytest_lmms.inference.replica import Loaded, Replica

DEPTH = 2
"""Batches that a replica has: one that it answers, and one that it prepares."""
MAX_FAILURES_IN_A_ROW = 5
"""Deaths, hangs and failures to load, no batch answered between them, after which a replica is given up: more than one
document alone can cause, which is asked twice with its batch and twice by itself."""
PATIENCE_SECONDS = 300.0
"""How long a run without any replica waits for a machine that has room for one; and how long loading a model again may
take at least."""
PAUSE_SECONDS = 0.5
"""Before a model is loaded again that has failed to; doubled each time. A dead process may still hold its memory."""
STOP_SECONDS = 5.0
POLL_SECONDS = 0.5


@dataclass(eq=False)
class Seat:
    """One of the replicas, whichever actor it is at present."""

    actor: Any = None
    node: str | None = None
    """Where the actor is; None while Ray looks for room."""
    is_live: bool = False
    is_given_up: bool = False
    num_inside: int = 0
    failures_in_a_row: int = 0
    cause: LmmsError | None = None
    """Of the last failure."""


class Replicas:
    """Fills seats with actors that have loaded a model, and gives out places at them. On any thread."""

    def __init__(
        self,
        cluster: Cluster,
        what: tuple[str, str, Mapping[str, Any], Mapping[str, str]],
        *,
        number: int,
        num_gpus: float,
        environment: Mapping[str, str],
    ) -> None:
        """Begin to start the actors; see `wait_for_first`.

        Args:
            cluster: Where.
            what: The model's name, where its class is, arguments of its constructor, and secrets; see `Replica.load`.
            number: How many replicas.
            num_gpus: GPUs of each.
            environment: Variables that the actors get.
        """
        self._cluster = cluster
        self._what = what
        self._num_gpus = num_gpus
        self._environment = environment
        self._changed = threading.Condition()
        self._last_hope = time.monotonic()
        """When there last was a replica, or one that had found its place."""
        self._loaded: Loaded | None = None
        self._load_seconds = 0.0
        """The longest that loading has taken."""
        self._num_waiting_alone = 0
        self._num_dead = self._num_hung = 0
        self.is_closed = False
        self._seats = [Seat() for _ in range(number)]
        for seat in self._seats:
            self._fill_in_background(seat)

    def wait_for_first(self) -> Loaded:
        """Wait until one of them has loaded the model.

        Raises:
            UsageError: The model's arguments are wrong.
            ModelError: None could be started.
        """
        with self._changed:
            while self._loaded is None:
                if self._is_over():
                    cause = self._cause
                    raise cause if isinstance(cause, UsageError) else ModelError(self._why())
                self._changed.wait(POLL_SECONDS)
            return self._loaded

    def close(self) -> None:
        """Stop the actors; whoever waits for a place learns of it."""
        with self._changed:
            if self.is_closed:
                return
            self.is_closed = True
            self._changed.notify_all()
        self._cluster.stop_all([seat.actor for seat in self._seats if seat.is_live], timeout_seconds=STOP_SECONDS)
        for seat in self._seats:
            if seat.actor is not None:
                self._cluster.kill(seat.actor)

    @property
    def notices(self) -> list[str]:
        """What the summary should tell: actors that died or hung, and replicas that are gone, with the cause."""
        live = sum(seat.is_live for seat in self._seats)
        if not self._num_dead and not self._num_hung and live == len(self._seats):
            return []
        parts = [f"Ray: {self._num_dead} actor(s) died"]
        if self._num_hung:
            parts.append(f"{self._num_hung} hung and {'was' if self._num_hung == 1 else 'were'} killed")
        parts.append(f"{live} of {len(self._seats)} replicas at the end")
        if given_up := [seat for seat in self._seats if seat.is_given_up]:
            parts.append(f"{len(given_up)} given up for good: {given_up[-1].cause}")
        return ["; ".join(parts)]

    # --- places ------------------------------------------------------------------------------------------------------

    def take(self, *, alone: bool) -> tuple[Seat, Any]:
        """A place at the replica that has the fewest batches, or all places of one; waits for it.

        Raises:
            UnansweredError: The run was stopped.
            ModelError: No replica is left, and none will come.
        """
        with self._changed:
            self._num_waiting_alone += alone
            try:
                return self._wait_for_place(alone=alone)
            finally:
                self._num_waiting_alone -= alone
                self._changed.notify_all()

    def _wait_for_place(self, *, alone: bool) -> tuple[Seat, Any]:
        """`_changed` is held."""
        while True:
            if self.is_closed:
                raise UnansweredError("not asked: the run was stopped")
            room = 1 if alone else DEPTH
            free = [seat for seat in self._seats if seat.is_live and seat.num_inside < room]
            if free and (alone or not self._num_waiting_alone):
                seat = min(free, key=lambda each: each.num_inside)
                seat.num_inside += DEPTH if alone else 1
                return seat, seat.actor
            if self._is_over():
                raise ModelError(self._why())
            self._changed.wait(POLL_SECONDS)

    def give_back(self, seat: Seat, actor: Any, *, alone: bool, answered: bool) -> None:
        """Return what `take` gave; `answered` says whether the actor is well."""
        with self._changed:
            if seat.actor is actor:
                seat.num_inside -= DEPTH if alone else 1
                seat.failures_in_a_row *= not answered
                self._changed.notify_all()

    # --- life and death ----------------------------------------------------------------------------------------------

    def replace(self, seat: Seat, actor: Any, cause: ModelError, *, has_hung: bool) -> bool:
        """Kill an actor that died or hangs, and have a new one in its place. Returns whether its machine is gone."""
        node = seat.node
        is_gone = node is not None and self._cluster.has_lost(node)
        with self._changed:
            if seat.actor is not actor:  # the other batch that it had has told already
                return is_gone
            seat.actor, seat.node, seat.is_live, seat.num_inside = None, None, False, 0
            self._num_hung += has_hung
            self._num_dead += not has_hung
            seat.failures_in_a_row += not is_gone
            seat.cause = cause
            self._changed.notify_all()
        self._cluster.kill(actor)
        self._fill_in_background(seat)
        return is_gone

    def _fill_in_background(self, seat: Seat) -> None:
        threading.Thread(target=self._fill, args=(seat,), name="lmms-replica", daemon=True).start()

    def _fill(self, seat: Seat) -> None:
        """Start actors in a seat until one has loaded the model, or the seat is given up."""
        pause = PAUSE_SECONDS
        while not self.is_closed:
            if seat.failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                text = (
                    f"{seat.failures_in_a_row} actors in a row died, hung or could not load, the last of: {seat.cause}"
                )
                return self._give_up(seat, ModelError(text))
            loaded = self._try_to_load(seat)
            if isinstance(loaded, Loaded):
                return self._seat_is_live(seat, loaded)
            if isinstance(loaded, UsageError) or (self._loaded is None and seat.actor is not None):
                return self._give_up(seat, loaded)
            self._vacate(seat)
            with self._changed:
                seat.failures_in_a_row += 1
                seat.cause = loaded
                self._changed.wait_for(lambda: self.is_closed, pause)
            pause *= 2
        return None

    def _try_to_load(self, seat: Seat) -> Loaded | LmmsError:
        """Place an actor and have it load the model; `seat.actor` is None after it died."""
        call = self._cluster.call
        try:
            actor = self._cluster.start_actor(
                Replica, num_gpus=self._num_gpus, num_calls=DEPTH, environment=self._environment
            )
            with self._changed:
                seat.actor = actor
            node = call(actor.node)
            with self._changed:
                seat.node = node
            start = time.monotonic()
            loaded: Loaded | LmmsError = call(actor.load, *self._what, timeout_seconds=self._longest_load())
            self._load_seconds = max(self._load_seconds, time.monotonic() - start)
        except TimeoutError as error:
            loaded = ModelError(f"loading the model: {error}")
        except Exception as error:  # noqa: BLE001  (Ray's own, and those of a session that is being closed)
            loaded = ModelError(str(error) if isinstance(error, ActorLostError) else f"{type(error).__name__}: {error}")
            self._vacate(seat)
        return loaded

    def _longest_load(self) -> float | None:
        """Seconds after which loading counts as stuck: many times what it took elsewhere; None until that is known."""
        return None if self._loaded is None else max(PATIENCE_SECONDS, 4 * self._load_seconds)

    def _vacate(self, seat: Seat) -> None:
        with self._changed:
            actor, seat.actor, seat.node = seat.actor, None, None
        if actor is not None:
            self._cluster.kill(actor)

    def _seat_is_live(self, seat: Seat, loaded: Loaded) -> None:
        with self._changed:
            seat.is_live = True
            self._loaded = self._loaded or loaded
            self._changed.notify_all()

    def _give_up(self, seat: Seat, cause: LmmsError) -> None:
        self._vacate(seat)
        with self._changed:
            seat.is_given_up, seat.cause = True, cause
            self._changed.notify_all()

    def _is_over(self) -> bool:
        """Whether nothing can be hoped for any more; `_changed` is held."""
        if all(seat.is_given_up for seat in self._seats):
            return True
        if any(seat.is_live or seat.node is not None for seat in self._seats):
            self._last_hope = time.monotonic()
        return time.monotonic() - self._last_hope > PATIENCE_SECONDS

    @property
    def _cause(self) -> LmmsError | None:
        """Of a replica that was given up; a mistake of the user's before others."""
        causes = [seat.cause for seat in self._seats if seat.is_given_up]
        return next((each for each in causes if isinstance(each, UsageError)), causes[-1] if causes else None)

    def _why(self) -> str:
        size = f"{len(self._seats)} replica{'s' * (len(self._seats) > 1)} of {self._what[0]}"
        if all(seat.is_given_up for seat in self._seats):
            return f"none of {size} is left: {self._cause}"
        needs = "1 CPU" + f" and {self._num_gpus:g} GPU" * bool(self._num_gpus)
        return explain(
            f"none of {size} has found room within {PATIENCE_SECONDS:g} s",
            expected=f"a machine with {needs} free; the cluster has {self._cluster.resources}",
            remedy="add a machine (ray start --address ...), or ask for less with --lmms-gpus-per-replica",
        )
