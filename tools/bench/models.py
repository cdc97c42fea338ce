"""What the harness adds to a local model: a bare `generate` loop against a run, on the same prepared batches.

    python tools/bench/models.py              # 512 documents of the tiny model in batches of 16; about 5 minutes
    python tools/bench/models.py --quick      # 64 documents, one repeat
    python tools/bench/models.py --model vllm # bare AsyncLLM against a run, where vLLM is installed (`make bench-vllm`)

Both sides load the same checkpoint through the same adapter, and take batches that were prepared beforehand, so that
what is compared is generating alone: bare calls `generate_prepared` in a loop, the harness has its engine plan, feed,
time and store the same batches. Wanted: at least 0.95 of the bare rate. Never fails because of a figure.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pytest_lmms.inference.batching import Group
from pytest_lmms.inference.cache import ResponseStore
from pytest_lmms.inference.engine import Engine, EngineSettings
from pytest_lmms.records import Generation, MediaRef, Message, Request, Response
from pytest_lmms.registry import MODELS

WANTED = 0.95


def requests(count: int, max_new_tokens: int) -> list[Request]:
    """Make documents: a small picture and a question each, all different."""
    chance = np.random.default_rng(0)
    return [
        Request(
            task="bench",
            doc_id=number,
            messages=(
                Message(
                    role="user",
                    content=(
                        MediaRef(kind="image", content=chance.integers(0, 256, (84, 84, 3), dtype=np.uint8)),
                        f"Question {number}: is there a red square in the picture? Answer with yes or no.",
                    ),
                ),
            ),
            generation=Generation(max_new_tokens=max_new_tokens),
        )
        for number in range(count)
    ]


class Ready:
    """The adapter with its batches prepared already: `prepare` looks them up."""

    def __init__(self, model: Any, batches: Sequence[Sequence[Request]]) -> None:
        self._model = model
        self._prepared = {batch[0].doc_id: model.prepare(batch) for batch in batches}
        self.identity = model.identity

    def prepare(self, batch: Sequence[Request]) -> Any:
        """Look the batch up."""
        return self._prepared[batch[0].doc_id]

    def generate_prepared(self, prepared: Any, batch: Sequence[Request]) -> list[Response]:
        """Ask the model."""
        responses: list[Response] = self._model.generate_prepared(prepared, batch)
        return responses

    def generate(self, batch: Sequence[Request]) -> list[Response]:
        """Ask the model what is prepared."""
        return self.generate_prepared(self.prepare(batch), batch)


def bare(model: Ready, batches: Sequence[Sequence[Request]]) -> tuple[float, list[str]]:
    """Return the seconds of a plain loop, and the texts."""
    started = time.perf_counter()
    found = [response.text for batch in batches for response in model.generate(batch)]
    return time.perf_counter() - started, found


def harnessed(model: Ready, asked: Sequence[Request], size: int, folder: Path) -> tuple[float, list[str]]:
    """Return the seconds of the engine with a response store, every document in flight, and the texts."""
    engine = Engine(
        model,
        store=ResponseStore(folder, writer="bench"),
        settings=EngineSettings(batch_size=size),
    )
    engine.start()
    groups: list[Group[Any]] = [Group(min(size, len(asked) - start)) for start in range(0, len(asked), size)]

    async def one(number: int, request: Request) -> str:
        keys = engine.keys([request])
        (response,) = await engine.answer([request], keys, group=groups[number // size], position=number % size)
        return response.text

    async def everything() -> list[str]:
        return await asyncio.gather(*(one(number, request) for number, request in enumerate(asked)))

    started = time.perf_counter()
    try:
        found = asyncio.run_coroutine_threadsafe(everything(), engine._loop).result()  # noqa: SLF001
        return time.perf_counter() - started, found
    finally:
        engine.close()


def measure_batches(
    name: str, pretrained: str | None, asked: Sequence[Request], size: int, repeats: int
) -> dict[str, list[float]]:
    """Return the seconds of each repeat of a batch adapter, by side."""
    model = MODELS.load(name)(**({"pretrained": pretrained} if pretrained else {}))
    batches = [asked[start : start + size] for start in range(0, len(asked), size)]
    ready = Ready(model, batches)
    bare(ready, batches[:1])
    times: dict[str, list[float]] = {"bare": [], "harness": []}
    for _ in range(repeats):
        seconds, expected = bare(ready, batches)
        times["bare"].append(seconds)
        with tempfile.TemporaryDirectory() as folder:
            seconds, found = harnessed(ready, asked, size, Path(folder))
        times["harness"].append(seconds)
        assert found == expected, "the harness gave other texts"
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A bare generate loop against the harness.")
    parser.add_argument("--model", default="tiny_vlm")
    parser.add_argument("--pretrained", help="folder or hub name; by default the tiny model")
    parser.add_argument("--documents", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--max-new-tokens", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of torch; more wait for a busy machine")
    parser.add_argument("--quick", action="store_true")
    told = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(told.threads)  # read when torch is imported
    count, repeats = (64, 1) if told.quick else (told.documents, told.repeats)
    asked = requests(count, told.max_new_tokens)
    if told.model == "vllm":
        from vllm_loop import measure  # beside this file

        times = measure(told.pretrained, asked, max_new_tokens=told.max_new_tokens, repeats=repeats)
    else:
        times = measure_batches(told.model, told.pretrained, asked, told.batch_size, repeats)
    print(f"{told.model}: {count} documents, batches of {told.batch_size}, {told.max_new_tokens} tokens each at most")
    for name, values in times.items():
        middle = statistics.median(values)
        print(
            f"  {name:8} {count / middle:8.1f} documents/s  "
            f"(median {middle:.2f} s, {min(values):.2f} to {max(values):.2f} s)"
        )
    ratio = statistics.median(b / h for b, h in zip(times["bare"], times["harness"], strict=True))
    print(f"  harness/bare {ratio:.3f} (median of {repeats} pairs; wanted: at least {WANTED})")


if __name__ == "__main__":
    main()
