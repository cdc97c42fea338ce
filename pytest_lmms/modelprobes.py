"""What an adapter is asked while it is checked, and how: as an engine would, but without one."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pytest_lmms.records import Generation, MediaRef, Message, Part, Request

MAX_NEW_TOKENS = 8
GENERATION = Generation(max_new_tokens=MAX_NEW_TOKENS, temperature=0.0, do_sample=False)
TEXTS = ("Say yes.", "Name a colour, then a number, then an animal that lives in the sea.", "1 + 1 =")


class Asker:
    """Asks either kind of adapter, the way an engine does."""

    def __init__(self, model: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.model = model
        self.is_async = inspect.iscoroutinefunction(model.generate)
        self._loop = loop

    def call(self, name: str) -> None:
        """Call `start` or `stop`, where there is one."""
        function = getattr(self.model, name, None)
        if function is None:
            return

        async def call() -> None:
            value = function()
            if inspect.isawaitable(value):
                await value

        if self.is_async:
            self._loop.run_until_complete(call())
        else:
            function()

    def scores(self) -> bool:
        """Whether it gives log-probabilities, as far as it says so."""
        ask = getattr(self.model, "why_not_score", None)
        return hasattr(self.model, "score") and (ask is None or self._loop.run_until_complete(ask()) is None)

    def __call__(self, requests: Sequence[Request]) -> list[Any]:
        """Raise what the adapter raises; an async one is asked all at once."""
        if self.is_async:

            async def all_at_once() -> list[Any]:
                return await asyncio.gather(*(self._function(r)(r) for r in requests))

            return self._loop.run_until_complete(all_at_once())
        if requests[0].continuation is None and hasattr(self.model, "prepare"):
            answers = self.model.generate_prepared(self.model.prepare(requests), requests)
        else:
            answers = self._function(requests[0])(requests)
        return answers  # type: ignore[no-any-return]

    def _function(self, request: Request) -> Callable[[Any], Any]:
        return self.model.generate if request.continuation is None else self.model.score  # type: ignore[no-any-return]


def request(*parts: Part, number: int = 0, system: str | None = None, **changes: Any) -> Request:
    """One of a check's requests; `changes` are fields of `Request`."""
    messages = [Message(role="user", content=parts)]
    if system:
        messages.insert(0, Message(role="system", content=(system,)))
    fields = {"task": "check", "doc_id": number, "messages": tuple(messages), "generation": GENERATION, **changes}
    return Request(**fields)


def kinds() -> Iterator[tuple[str, Request]]:
    """A request of each kind; `text` is not among them, because every model takes it."""
    import numpy as np
    import PIL.Image

    red, blue = (
        MediaRef(kind="image", content=PIL.Image.new("RGB", size, colour))
        for size, colour in (((96, 64), (200, 30, 30)), ((64, 96), (30, 30, 200)))
    )
    frames = np.stack([np.full((64, 96, 3), 20 * n, np.uint8) for n in range(8)])
    tone = np.sin(np.linspace(0, 2000, 16000)).astype(np.float32)
    yield "system message", request("Say yes.", system="You are brief.")
    yield "image", request(red, "What colour is this?")
    yield "several images", request("First", red, "and second", blue, "What differs?")
    yield "video", request(MediaRef(kind="video", content=frames), "What happens?")
    yield "audio", request(MediaRef(kind="audio", content={"array": tone, "sampling_rate": 16000}), "What is heard?")
