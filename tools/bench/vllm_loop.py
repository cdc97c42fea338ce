"""The sides of `tools/bench/models.py --model vllm`: bare `AsyncLLM` and a run, in one process, on one engine.

Prompts are rendered and media opened beforehand for both. Bare asks `AsyncLLM.generate` for all of them at once; the
harness has its engine admit, time and store them. Caches of prefixes and media are off: else the second side finds the
first one's work done.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_lmms.inference.cache import ResponseStore
from pytest_lmms.inference.engine import Engine, EngineSettings
from pytest_lmms.records import Request
from pytest_lmms.registry import MODELS

ROOT = Path(__file__).parents[2]


def run_on(engine: Engine, work: Coroutine[Any, Any, list[str]]) -> tuple[float, list[str]]:
    """Return the seconds of some work on the engine's loop, which vLLM stays with, and what it returned."""
    started = time.perf_counter()
    found = asyncio.run_coroutine_threadsafe(work, engine._loop).result()  # noqa: SLF001
    return time.perf_counter() - started, found


async def bare(model: Any, asked: Sequence[Request], max_new_tokens: int, name: str) -> list[str]:
    """Ask vLLM itself."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    async def one(request: Request) -> str:
        prepared = model._prepare(request)  # noqa: SLF001
        prompt = {"prompt": prepared.text, "multi_modal_data": prepared.media}
        params = SamplingParams(max_tokens=max_new_tokens, temperature=0.0, output_kind=RequestOutputKind.FINAL_ONLY)
        last: Any = None
        async for output in model._engine.generate(prompt, params, f"{name}-{request.doc_id}"):  # noqa: SLF001
            last = output
        return str(last.outputs[0].text)

    return await asyncio.gather(*map(one, asked))


async def harnessed(engine: Engine, asked: Sequence[Request]) -> list[str]:
    """Ask through the harness."""

    async def one(request: Request) -> str:
        (response,) = await engine.answer([request], engine.keys([request]))
        return response.text

    return await asyncio.gather(*map(one, asked))


def measure(
    pretrained: str | None, asked: Sequence[Request], *, max_new_tokens: int, repeats: int
) -> dict[str, list[float]]:
    """Return the seconds of each repeat, by side.

    Args:
        pretrained: Folder or hub name; None makes a tiny random Qwen2.5-VL.
        asked: The documents.
        max_new_tokens: Of each.
        repeats: How often.
    """
    for name, value in (("KVCACHE_SPACE", "1"), ("OMP_THREADS_BIND", "nobind")):
        os.environ.setdefault(f"VLLM_CPU_{name}", value)
    times: dict[str, list[float]] = {"bare": [], "harness": []}
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {}
        if pretrained is None:
            sys.path.insert(0, str(ROOT / "tests"))
            from tiny_models import save_tiny_qwen2_5_vl

            pretrained = str(save_tiny_qwen2_5_vl(Path(folder) / "model", num_heads=2))
            settings = {"dtype": "float32", "max_model_len": 1024, "enforce_eager": True}
        model: Any = MODELS.load("vllm")(
            pretrained, num_concurrent=len(asked), enable_prefix_caching=False, mm_processor_cache_gb=0, **settings
        )
        ready = {request.doc_id: model._prepare(request) for request in asked}  # noqa: SLF001
        model._prepare = lambda request: ready[request.doc_id]  # noqa: SLF001
        engine = Engine(model, store=ResponseStore(Path(folder), writer="bench"), settings=EngineSettings())
        engine.start()
        try:
            run_on(engine, bare(model, asked[:16], max_new_tokens, "warm"))
            for number in range(repeats):
                seconds, expected = run_on(engine, bare(model, asked, max_new_tokens, str(number)))
                times["bare"].append(seconds)
                # Each repeat is a new request to the store, which else would answer.
                seconds, found = run_on(engine, harnessed(engine, [replace(each, repeat=number) for each in asked]))
                times["harness"].append(seconds)
                different = sum(one != other for one, other in zip(found, expected, strict=True))
                if different:
                    print(f"  {different} texts differ between the sides")
        finally:
            engine.close()
    return times
