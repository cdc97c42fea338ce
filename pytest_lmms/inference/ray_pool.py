"""Replicas of a batch adapter on the machines of a Ray cluster: `--lmms-ray ADDRESS --lmms-replicas N`.

To the engine this is one batch adapter that may be asked several batches at once. Each batch goes to the replica that
has the fewest; an actor that dies or hangs is replaced and its batch asked again elsewhere. The response store, scores
and records stay in the process that pytest runs in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_lmms.errors import LmmsError, ModelError, UnansweredError
from pytest_lmms.inference.ray_cluster import ActorLostError, Cluster
from pytest_lmms.inference.ray_replicas import DEPTH, Replicas
from pytest_lmms.records import Request, Response

MAX_LOSSES_OF_BATCH = 2
"""Actors that may die or hang while they have a batch before it is an error; after the first it is asked with no other
beside it, so that its neighbours are not blamed. Deaths of whole machines are not counted."""


class RayPool:
    """A `BatchModel` whose work is done by actors."""

    keeps_time = True

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
        secrets: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        """Join a cluster and start the replicas; returns as soon as one of them can answer.

        Args:
            name: The model's name, for messages.
            target: Where its class is, as `Registry.register` takes it; a file is at the same path on every machine.
            arguments: Of its constructor.
            address: See `Cluster`.
            num_replicas: None: one a GPU of the cluster, or one a machine where there is none.
            num_gpus: GPUs of each replica; None: 1 where the cluster has any. A fraction lets several share one.
            environment: Variables that the processes of the actors get; Ray writes them into its logs.
            secrets: Variables that are set in them before the model is built, and stand in no log.
            timeout_seconds: For one batch. An actor that takes longer counts as one that died.

        Raises:
            UsageError: No cluster at that address, or the model's arguments are wrong.
            ModelError: No replica could be started.
        """
        cluster = self._cluster = Cluster(address)
        num_gpus = num_gpus if num_gpus is not None else float(cluster.num_gpus > 0)
        room = int(cluster.num_gpus / num_gpus) if num_gpus else cluster.num_machines
        number = num_replicas or max(1, room)
        self.num_parallel = DEPTH * number
        self._timeout_seconds = timeout_seconds
        target = str(Path(target).absolute()) if ".py:" in target else target
        what = (name, target, dict(arguments), dict(secrets or {}))
        self._replicas = Replicas(cluster, what, number=number, num_gpus=num_gpus, environment=environment or {})
        try:
            loaded = self._replicas.wait_for_first()
        except BaseException:
            self.close()
            raise
        self.identity = loaded.identity
        """What the text of responses depends on: the same as of one model in this process."""
        for attribute, value in loaded.attributes.items():
            setattr(self, attribute, value)
        if loaded.scores:
            self.score: Callable[[Sequence[Request]], list[Response]] = self._ask

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Have one replica answer a batch; see `pytest_lmms.inference.model.BatchModel`. On any thread.

        Raises:
            ModelError: The model failed, too many actors died or hung, or no replica is left.
        """
        return self._ask(requests)

    def close(self) -> None:
        """Stop the actors, and leave the cluster."""
        self._replicas.close()
        self._cluster.leave()

    @property
    def notices(self) -> list[str]:
        """What the summary should tell; see `Replicas.notices`."""
        return self._replicas.notices

    def _ask(self, requests: Sequence[Request]) -> list[Response]:
        losses = 0
        while losses < MAX_LOSSES_OF_BATCH:
            alone = losses > 0
            seat, actor = self._replicas.take(alone=alone)
            has_answered = False
            try:
                outcome: list[Response] | LmmsError = self._cluster.call(
                    actor.answer, list(requests), timeout_seconds=self._limit(alone=alone)
                )
                has_answered = True
            except (ActorLostError, TimeoutError) as error:
                if self._replicas.is_closed:
                    raise UnansweredError("not asked: the run was stopped") from error
                cause = ModelError(str(error))
                machine_is_gone = self._replicas.replace(seat, actor, cause, has_hung=isinstance(error, TimeoutError))
                losses += not machine_is_gone
                continue
            finally:
                self._replicas.give_back(seat, actor, alone=alone, answered=has_answered)
            if isinstance(outcome, LmmsError):
                raise outcome
            return outcome
        text = f"{losses} actors died or hung while they had this batch, the last of: {cause}"
        raise ModelError(text)

    def _limit(self, *, alone: bool) -> float | None:
        """A batch may wait behind those that its actor has already."""
        return None if self._timeout_seconds is None else self._timeout_seconds * (1 if alone else DEPTH)
