"""One model in a process that somebody else drives: built, asked and stopped on a thread of its own, errors as values.

Runs beside the accelerator, in an actor; knows no Ray. Media are opened here, by the adapter itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pytest_lmms.errors import LmmsError, ModelError
from pytest_lmms.records import Request, Response, Timing
from pytest_lmms.registry import Registry

T = TypeVar("T")
SHOWN = ("honours", "batch_invariant", "why_no_logprobs", "draws", "is_remote", "takes_tools")
"""Optional attributes of an adapter that somebody who stands for it has to have as well."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What there is to know of a model that has been built."""

    identity: Mapping[str, Any] | None
    attributes: Mapping[str, Any]
    """Those of `SHOWN` that it has."""
    scores: bool
    """Whether it gives log-probabilities."""


class Replica:
    """Holds one model. Errors are returned, not raised: an exception may not survive the way to another process."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._thread = ThreadPoolExecutor(1, "lmms-model")
        self._model: Any = None

    def node(self) -> str:
        """The Ray node that this actor is on: the first thing it is asked, and answered as soon as it has a place."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def load(
        self, name: str, target: str, arguments: Mapping[str, Any], secrets: Mapping[str, str] | None = None
    ) -> Loaded | LmmsError:
        """Build the model.

        Args:
            name: What the user calls it.
            target: Where its class is, as `Registry.register` takes it.
            arguments: Of its constructor.
            secrets: Variables to set first. Those that Ray is told of stand in its logs.

        Returns:
            What it is, or why it could not be built.
        """
        os.environ.update(secrets or {})
        return self._thread.submit(_attempt, self._load, name, target, arguments).result()

    def _load(self, name: str, target: str, arguments: Mapping[str, Any]) -> Loaded:
        models = Registry("model", listing="pytest-lmms models")
        models.register(name, target)
        model = models.load(name)(**arguments)
        if hasattr(model, "start"):
            model.start()
        self._model = model
        return Loaded(
            identity=getattr(model, "identity", None),
            attributes={name: getattr(model, name) for name in SHOWN if hasattr(model, name)},
            scores=hasattr(model, "score"),
        )

    def answer(self, requests: Sequence[Request]) -> list[Response] | LmmsError:
        """Answer a batch; called on several threads, so that one batch is prepared while another is answered.

        Returns:
            Responses with the time that the model took for them, or what went wrong.
        """
        return _attempt(self._answer, requests)

    def _answer(self, requests: Sequence[Request]) -> list[Response]:
        model = self._model
        if requests[0].continuation is not None:
            return self._timed(requests, model.score, requests)
        if hasattr(model, "prepare") and hasattr(model, "generate_prepared"):
            return self._timed(requests, model.generate_prepared, model.prepare(requests), requests)
        return self._timed(requests, model.generate, requests)

    def _timed(
        self, requests: Sequence[Request], ask: Callable[..., list[Response]], *arguments: Any
    ) -> list[Response]:
        def on_model_thread() -> list[Response]:
            start = time.perf_counter()
            responses = ask(*arguments)
            timing = Timing(seconds=time.perf_counter() - start, batch_size=len(requests))
            return [replace(r, timing=timing) if r.timing is None else r for r in responses]

        return self._thread.submit(on_model_thread).result()

    def stop(self) -> None:
        """Let the model close what it has open."""
        stop = getattr(self._model, "stop", None)
        if callable(stop):
            self._thread.submit(stop).result()


def _attempt(function: Callable[..., T], *arguments: Any) -> T | LmmsError:
    try:
        return function(*arguments)
    except LmmsError as error:
        return error
    except Exception as error:  # noqa: BLE001  (told where it is known whose request it was)
        return ModelError(f"{type(error).__name__}: {error}")
