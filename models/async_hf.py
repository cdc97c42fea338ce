"""Several replicas of a local model in one process: worker threads, one a device, over one queue of requests."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.inference.model import HONOURS_ALL
from pytest_lmms.model_args import check_model_args
from pytest_lmms.records import Request, Response
from pytest_lmms.registry import MODELS

from . import _loading


class Job(NamedTuple):
    """A request on its way to a replica."""

    request: Request
    future: asyncio.Future[Response]


class AsyncHf:
    """A replica of a family on each device; the next free one takes the next request.

    The engine keeps the order of documents. A request that fails is an error of its own: when a batch fails, its
    requests are asked again one by one.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        *,
        family: str = "huggingface",
        worker_gpus: str | int | None = None,
        worker_count: int | None = None,
        device: str | None = None,
        batch_size: int = 1,
        **arguments: Any,
    ) -> None:
        """Load the replicas.

        Args:
            pretrained: Folder, or name on the hub; None takes the family's own default.
            family: Name of the local adapter that each replica is.
            worker_gpus: CUDA devices, ``0,2``; None takes all, or the CPU where there is none.
            worker_count: Number of replicas; None is one a device. On a CPU, as many as are asked for.
            device: ``cpu`` keeps off the GPUs; another one device takes all replicas.
            batch_size: Requests that a replica takes at once, of those that wait and have the same settings.
            arguments: Arguments of the family.

        Raises:
            UsageError: An argument is unknown to the family, or the family answers no batches.
            ModelError: The checkpoint cannot be loaded.
        """
        adapter = self._family(family)
        given = {**({} if pretrained is None else {"pretrained": pretrained}), **arguments}
        check_model_args(adapter, given, model_name=family)
        devices = worker_devices(device, worker_gpus, worker_count)
        self._replicas: list[Any] = [adapter(device=name, batch_size=batch_size, **given) for name in devices]
        self._batch_size = batch_size
        self.num_concurrent = 2 * batch_size * len(devices)
        self.honours: frozenset[str] = getattr(adapter, "honours", HONOURS_ALL)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def _family(self, name: str) -> Any:
        adapter = MODELS.load(name)
        if not hasattr(adapter, "generate") or asyncio.iscoroutinefunction(adapter.generate):
            raise UsageError(explain(f"family={name} is no local model", expected="an adapter that answers batches"))
        return adapter

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the text of responses depends on: the same as of one replica."""
        identity: Mapping[str, Any] = self._replicas[0].identity
        return identity

    @property
    def batch_invariant(self) -> bool:
        """Whether a request's text is the same in every batch: if a replica says so, or is given one at a time."""
        return self._batch_size == 1 or bool(self._replicas[0].batch_invariant)

    def start(self) -> None:
        """Start a thread for each replica."""
        self._threads = [
            threading.Thread(target=self._work, args=(replica,), name=f"replica-{number}", daemon=True)
            for number, replica in enumerate(self._replicas)
        ]
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """Let each replica finish what it has, and end the threads."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._threads = []

    async def generate(self, request: Request) -> Response:
        """Answer one request; see `pytest_lmms.inference.model.AsyncModel`."""
        return await self._submit(request)

    async def score(self, request: Request) -> Response:
        """Give the log-probability of a request's continuation."""
        return await self._submit(request)

    async def _submit(self, request: Request) -> Response:
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._jobs.put(Job(request, future))
        return await future

    # On a worker's thread

    def _work(self, replica: Any) -> None:
        following: Job | None = None
        while True:
            job = following or self._jobs.get()
            following = None
            if job is None:
                return
            batch = [job]
            while len(batch) < self._batch_size:
                try:
                    more = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._jobs.put(None)  # another's, or this one's for later
                    break
                if _kind(more.request) != _kind(job.request):
                    following = more
                    break
                batch.append(more)
            self._answer(replica, [each for each in batch if not each.future.cancelled()])

    def _answer(self, replica: Any, batch: Sequence[Job]) -> None:
        if not batch:
            return
        ask = replica.generate if batch[0].request.continuation is None else replica.score
        try:
            responses = ask([job.request for job in batch])
        except Exception as error:  # noqa: BLE001  (belongs to these requests alone)
            if len(batch) > 1:
                for job in batch:
                    self._answer(replica, [job])
                return
            _settle(batch[0].future, error)
            return
        for job, response in zip(batch, responses, strict=True):
            _settle(job.future, response)


def _kind(request: Request) -> Any:
    return repr(request.generation), request.continuation is None


def _settle(future: asyncio.Future[Response], outcome: Response | BaseException) -> None:
    def settle() -> None:
        if future.done():
            return
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    with contextlib.suppress(RuntimeError):  # the loop is closed: the run ended, and nobody waits
        future.get_loop().call_soon_threadsafe(settle)


def worker_devices(device: str | None, worker_gpus: str | int | None, worker_count: int | None) -> list[str]:
    """Return the device of each replica.

    Raises:
        UsageError: `worker_count` is not positive, or larger than the number of GPUs.
    """
    if worker_count is not None and worker_count < 1:
        raise UsageError(explain(f"worker_count={worker_count}", expected="1 or more"))
    if worker_gpus is not None and device != "cpu":
        names = [f"cuda:{name.strip().removeprefix('cuda:')}" for name in str(worker_gpus).split(",") if name.strip()]
    elif device is not None or _loading.resolve_device(None) == "cpu":
        return [device or "cpu"] * (worker_count or 1)
    else:
        import torch

        names = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if worker_count is not None and worker_count > len(names):
        raise UsageError(
            explain(f"worker_count={worker_count}, but there are {len(names)} devices", remedy="lower worker_count")
        )
    return names[:worker_count]
