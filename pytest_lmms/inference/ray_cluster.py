"""What replicas need of Ray: a cluster joined, actors placed on it, asked and killed. The only importer of Ray.

Ray's many exceptions become three here: `TimeoutError`, `ActorLostError`, and `ModelError` for what cannot be sent.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.errors import ModelError, UsageError, explain

CONNECT_SECONDS = 10.0


class ActorLostError(Exception):
    """An actor died, or its machine went, before it had answered."""


class Cluster:
    """A Ray cluster that this process has joined."""

    def __init__(self, address: str) -> None:
        """Join it, unless this process has done so already.

        Args:
            address: `auto` (the cluster of this machine, or that of `RAY_ADDRESS`), `HOST:PORT`, or `local` (a cluster
                of this machine alone, started now and stopped by `leave`).

        Raises:
            UsageError: Ray is not installed, or there is no cluster at that address.
        """
        ray = self._ray = _import_ray()
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect(ray, address)
        nodes = [node for node in ray.nodes() if node["Alive"]]
        self.num_machines = len(nodes)
        self.num_gpus = sum(node["Resources"].get("GPU", 0) for node in nodes)

    def start_actor(self, kind: type, *, num_gpus: float, num_calls: int, environment: Mapping[str, str]) -> Any:
        """Ask for an actor; returns at once, whether or not there is room for it yet.

        Args:
            kind: Its class.
            num_gpus: GPUs that it needs; a fraction lets several share one.
            num_calls: Calls that it may have at once, each on a thread of its own.
            environment: Variables that its process gets.
        """
        options: dict[str, Any] = {
            "num_cpus": 1,
            "num_gpus": num_gpus,
            "max_concurrency": num_calls,
            "max_restarts": 0,
            "scheduling_strategy": "SPREAD",
        }
        if environment:
            options["runtime_env"] = {"env_vars": dict(environment)}
        return self._ray.remote(kind).options(**options).remote()

    def call(self, method: Any, *arguments: Any, timeout_seconds: float | None = None) -> Any:
        """Call a method of an actor, and wait for what it returns.

        Raises:
            TimeoutError: It has not answered within that time.
            ActorLostError: It died.
            ModelError: The arguments could not be sent, or the answer not be sent back.
        """
        errors = self._ray.exceptions
        try:
            return self._ray.get(method.remote(*arguments), timeout=timeout_seconds)
        except errors.GetTimeoutError:
            raise TimeoutError(f"no response within {timeout_seconds:g} s") from None
        except errors.RayTaskError as error:
            raise ModelError(f"the call did not reach an actor and come back: {error}") from error
        except errors.RayError as error:
            raise ActorLostError(f"{type(error).__name__}: {error}") from error

    def has_lost(self, node: str) -> bool:
        """Whether a machine, by the id of its Ray node, is gone."""
        return not any(each["Alive"] for each in self._ray.nodes() if each["NodeID"] == node)

    def kill(self, actor: Any) -> None:
        """End an actor's process, whatever it does."""
        with contextlib.suppress(Exception):
            self._ray.kill(actor)

    def stop_all(self, actors: Sequence[Any], *, timeout_seconds: float) -> None:
        """Let actors close what they have open; those that take longer are left."""
        with contextlib.suppress(Exception):
            self._ray.wait([actor.stop.remote() for actor in actors], num_returns=len(actors), timeout=timeout_seconds)

    def leave(self) -> None:
        """Leave it, if it was joined here."""
        if self._is_ours:
            self._ray.shutdown()

    @property
    def resources(self) -> str:
        """What it has altogether, in words."""
        total = self._ray.cluster_resources()
        return f"{total.get('CPU', 0):g} CPUs and {total.get('GPU', 0):g} GPUs"


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
