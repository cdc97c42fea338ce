"""Replicas of a batch adapter on the machines of a Ray cluster: `--lmms-ray ADDRESS --lmms-replicas N`.

To the engine this is one batch adapter that may be asked several batches at once. Each batch goes to the replica that
has the fewest; an actor that dies is replaced and its batch asked again elsewhere. The response store, scores and
records stay in the process that pytest runs in.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lmms.errors import LmmsError, ModelError, UnansweredError, UsageError, explain
from pytest_lmms.inference.replica import Loaded, Replica
from pytest_lmms.records import Request, Response

DEPTH = 2
"""Batches that a replica has: one that it answers, and one that it prepares."""
MAX_DEATHS_OF_BATCH = 2
"""Actors that may die while they have a batch before it is an error; after the first it is asked with no other beside
it, so that its neighbours are not blamed. Deaths of whole machines are not counted, here and below."""
MAX_DEATHS_IN_A_ROW = 2 * MAX_DEATHS_OF_BATCH + 1
"""Deaths, no batch answered between them, after which a replica is given up: more than one document alone can cause,
which is asked with its batch first and then by itself."""
PATIENCE_SECONDS = 300.0
"""How long a run without any replica waits for a machine that has room for one."""
CONNECT_SECONDS = 10.0
POLL_SECONDS = 0.5


@dataclass(eq=False)
class _Seat:
    """One of the replicas, whichever actor is it at present."""

    actor: Any = None
    node: str | None = None
    """Where the actor is; None while Ray looks for room."""
    is_live: bool = False
    is_given_up: bool = False
    num_inside: int = 0
    deaths_in_a_row: int = 0


class RayPool:
    """A `BatchModel` whose work is done by actors."""

    def __init__(
        self,
        name: str,
        target: str,
        arguments: Mapping[str, Any],
        *,
        address: str = "auto",
        num_replicas: int | None = None,
        num_gpus: float | None = None,
        environment: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        """Join a cluster and start the replicas; returns as soon as one of them can answer.

        Args:
            name: The model's name, for messages.
            target: Where its class is, as `Registry.register` takes it; a file is at the same path on every machine.
            arguments: Of its constructor.
            address: `auto` (the cluster of this machine, or that of `RAY_ADDRESS`), `HOST:PORT`, or `local` (a cluster
                of this machine alone, started now and stopped at the end).
            num_replicas: None: one a GPU of the cluster, or one a machine where there is none.
            num_gpus: GPUs of each replica; None: 1 where the cluster has any. A fraction lets several share one.
            environment: Variables that the actors get.
            timeout_seconds: For one batch; an actor that takes longer is replaced, and its batch fails.

        Raises:
            UsageError: No cluster at that address, or the model's arguments are wrong.
            ModelError: No replica could be started.
        """
        ray = self._ray = _import_ray()
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect(ray, address)
        nodes = [node for node in ray.nodes() if node["Alive"]]
        cluster_gpus = sum(node["Resources"].get("GPU", 0) for node in nodes)
        self._num_gpus = num_gpus if num_gpus is not None else float(cluster_gpus > 0)
        room = int(cluster_gpus / self._num_gpus) if self._num_gpus else len(nodes)
        self._seats = [_Seat() for _ in range(num_replicas or max(1, room))]
        self.num_parallel = DEPTH * len(self._seats)
        self.keeps_time = True
        self._what = (name, str(Path(target).absolute()) if ".py:" in target else target, dict(arguments))
        self._environment = dict(environment or {})
        self._timeout_seconds = timeout_seconds
        self._changed = threading.Condition()
        self._last_hope = time.monotonic()
        """When there last was a replica, or one that had found its place."""
        self._loaded: Loaded | None = None
        self._cause: LmmsError | None = None
        """Of the last replica that was given up."""
        self._is_closed = False
        self._num_waiting_alone = 0
        self.num_deaths = 0
        for seat in self._seats:
            self._in_background(self._fill, seat)
        try:
            self._wait_for_first()
        except BaseException:
            self.close()
            raise
        if self._loaded is not None and self._loaded.scores:
            self.score: Callable[[Sequence[Request]], list[Response]] = self._ask

    def _wait_for_first(self) -> None:
        with self._changed:
            while self._loaded is None:
                if self._is_over():
                    raise self._cause if isinstance(self._cause, UsageError) else ModelError(self._why())
                self._changed.wait(POLL_SECONDS)
        for attribute, value in self._loaded.attributes.items():
            setattr(self, attribute, value)

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """What the text of responses depends on: the same as of one model in this process."""
        return self._loaded.identity if self._loaded is not None else None

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Have one replica answer a batch; see `pytest_lmms.inference.model.BatchModel`. On any thread.

        Raises:
            ModelError: The model failed, took too long, killed too many actors, or no replica is left.
        """
        return self._ask(requests)

    def close(self) -> None:
        """Stop the actors, and leave the cluster."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._changed.notify_all()
        ray = self._ray
        actors = [seat.actor for seat in self._seats if seat.actor is not None]
        with contextlib.suppress(Exception):
            ray.wait([s.actor.stop.remote() for s in self._seats if s.is_live], num_returns=len(actors), timeout=5)
        for actor in actors:
            with contextlib.suppress(Exception):
                ray.kill(actor)
        if self._is_ours:
            ray.shutdown()

    @property
    def notices(self) -> list[str]:
        """What the summary should tell: deaths, and replicas that are gone."""
        if not self.num_deaths and all(seat.is_live for seat in self._seats):
            return []
        live = sum(seat.is_live for seat in self._seats)
        return [f"Ray: {self.num_deaths} actor(s) died; {live} of {len(self._seats)} replicas at the end"]

    # --- one batch ---------------------------------------------------------------------------------------------------

    def _ask(self, requests: Sequence[Request]) -> list[Response]:
        ray, errors = self._ray, self._ray.exceptions
        deaths = 0
        while True:
            seat, actor = self._take(alone=deaths > 0)
            try:
                outcome: list[Response] | LmmsError = ray.get(actor.answer.remote(list(requests)), timeout=self._limit)
            except errors.GetTimeoutError:
                self._replace(seat, actor)
                raise ModelError(f"no response within {self._timeout_seconds} s; its actor was replaced") from None
            except errors.RayTaskError as error:  # it could not be sent, or not be sent back
                self._give_back(seat, actor, alone=deaths > 0)
                raise ModelError(f"the batch did not reach an actor and come back: {error}") from error
            except errors.RayError as error:
                if self._is_closed:
                    raise UnansweredError("not asked: the run was stopped") from error
                was_alone = deaths > 0
                deaths += not self._replace(seat, actor)
                if was_alone and deaths >= MAX_DEATHS_OF_BATCH:
                    text = f"{deaths} actors died while they had this batch, the last of: {error}"
                    raise ModelError(text) from error
                continue
            seat.deaths_in_a_row = 0
            self._give_back(seat, actor, alone=deaths > 0)
            if isinstance(outcome, LmmsError):
                raise outcome
            return outcome

    @property
    def _limit(self) -> float | None:
        """A batch may wait behind those that its actor has already."""
        return None if self._timeout_seconds is None else self._timeout_seconds * DEPTH

    def _take(self, *, alone: bool) -> tuple[_Seat, Any]:
        """A place at the replica that has the fewest batches, or all places of one; waits for it."""
        with self._changed:
            self._num_waiting_alone += alone
            try:
                return self._wait_for_place(alone=alone)
            finally:
                self._num_waiting_alone -= alone
                self._changed.notify_all()

    def _wait_for_place(self, *, alone: bool) -> tuple[_Seat, Any]:
        """`_changed` is held."""
        while True:
            if self._is_closed:
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

    def _give_back(self, seat: _Seat, actor: Any, *, alone: bool) -> None:
        with self._changed:
            if seat.actor is actor:
                seat.num_inside -= DEPTH if alone else 1
                self._changed.notify_all()

    # --- life and death ----------------------------------------------------------------------------------------------

    def _replace(self, seat: _Seat, actor: Any) -> bool:
        """Have a new actor in the place of one that died or hangs. Returns whether its whole machine is gone."""
        node = seat.node
        is_gone = node is not None and not any(n["Alive"] for n in self._ray.nodes() if n["NodeID"] == node)
        with self._changed:
            if seat.actor is not actor:  # the other batch that it had has told already
                return is_gone
            seat.actor, seat.node, seat.is_live, seat.num_inside = None, None, False, 0
            self.num_deaths += 1
            seat.deaths_in_a_row += not is_gone
            self._changed.notify_all()
        with contextlib.suppress(Exception):
            self._ray.kill(actor)
        self._in_background(self._fill, seat)
        return is_gone

    @staticmethod
    def _in_background(function: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=function, args=arguments, name="lmms-replica", daemon=True).start()

    def _fill(self, seat: _Seat) -> None:
        """Start actors in a seat until one has loaded the model, or the seat is given up."""
        ray = self._ray
        while not self._is_closed:
            if seat.deaths_in_a_row >= MAX_DEATHS_IN_A_ROW:
                return self._give_up(seat, ModelError(f"{MAX_DEATHS_IN_A_ROW} actors died in a row"))
            try:
                actor = self._new_actor()
                with self._changed:
                    seat.actor = actor
                node = ray.get(actor.node.remote())
                with self._changed:
                    seat.node = node
                loaded: Loaded | LmmsError = ray.get(actor.load.remote(*self._what))
            except Exception as error:  # noqa: BLE001  (Ray's own, and those of a session that is being closed)
                with self._changed:
                    seat.actor = seat.node = None
                    seat.deaths_in_a_row += 1
                    self._cause = ModelError(f"{type(error).__name__}: {error}")
                continue
            if isinstance(loaded, LmmsError):
                with contextlib.suppress(Exception):
                    ray.kill(actor)
                return self._give_up(seat, loaded)
            with self._changed:
                seat.is_live = True
                self._loaded = self._loaded or loaded
                self._changed.notify_all()
            return None
        return None

    def _new_actor(self) -> Any:
        options: dict[str, Any] = {
            "num_cpus": 1,
            "num_gpus": self._num_gpus,
            "max_concurrency": DEPTH,
            "max_restarts": 0,
            "scheduling_strategy": "SPREAD",
        }
        if self._environment:
            options["runtime_env"] = {"env_vars": self._environment}
        return self._ray.remote(Replica).options(**options).remote()

    def _give_up(self, seat: _Seat, cause: LmmsError) -> None:
        with self._changed:
            seat.actor, seat.node, seat.is_given_up = None, None, True
            if self._cause is None or not isinstance(cause, ModelError) or "in a row" not in str(cause):
                self._cause = cause
            self._changed.notify_all()

    def _is_over(self) -> bool:
        """Whether nothing can be hoped for any more; `_changed` is held."""
        if all(seat.is_given_up for seat in self._seats):
            return True
        if any(seat.is_live or seat.node is not None for seat in self._seats):
            self._last_hope = time.monotonic()
        return time.monotonic() - self._last_hope > PATIENCE_SECONDS

    def _why(self) -> str:
        size = f"{len(self._seats)} replica{'s' * (len(self._seats) > 1)} of {self._what[0]}"
        if all(seat.is_given_up for seat in self._seats):
            return f"none of {size} is left: {self._cause}"
        needs = "1 CPU" + f" and {self._num_gpus:g} GPU" * bool(self._num_gpus)
        return explain(
            f"none of {size} has found room within {PATIENCE_SECONDS:g} s",
            expected=f"a machine with {needs} free; the cluster has {_resources(self._ray)}",
            remedy="add a machine (ray start --address ...), or ask for less with --lmms-gpus-per-replica",
        )


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise UsageError(
            explain(f"Ray cannot be imported: {error}", where="--lmms-ray", remedy="pip install 'pytest-lmms[ray]'")
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    """Join the cluster; what handles SIGTERM stays."""
    expected = "auto, HOST:PORT of a cluster that runs, or local"
    remedy = "start one: ray start --head, and on the other machines: ray start --address HOST:6379"
    where = f"--lmms-ray {address}"
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        try:  # Ray itself would try for many minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            text = f"no Ray cluster answers: {error}"
            raise UsageError(explain(text, where=where, expected=expected, remedy=remedy)) from error
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=None)
    except (ConnectionError, ValueError, RuntimeError) as error:
        text = f"no Ray cluster can be joined: {error}"
        raise UsageError(explain(text, where=where, expected=expected, remedy=remedy)) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _resources(ray: Any) -> str:
    total = ray.cluster_resources()
    return f"{total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs"
