"""What works on this machine, and what to install for the rest: `pytest-lmms version --check`.

Each library is imported in a process of its own: one that kills the interpreter, or that needs a system library
which is not there, is a line in the table and not the end of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

State = Literal["works", "missing", "broken", "off"]
SECONDS = 120
HUB_SECONDS = 5.0
ENGINES = ("vllm", "sglang")
KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "HF_TOKEN")


class Finding(NamedTuple):
    """One line."""

    what: str
    state: State
    detail: str
    remedy: str = ""


class Part(NamedTuple):
    """A part of the package, and what it needs."""

    what: str
    code: str
    """Prints a version; raises where it does not work."""
    extra: str | None
    """Of pyproject.toml; None for what is always there."""


def _version(module: str, distribution: str | None = None) -> str:
    name = distribution or module
    return f"import {module}\nfrom importlib.metadata import version\nprint({name!r}, version({name!r}))"


PARTS = (
    Part("pytest", _version("pytest"), None),
    Part("workers (-n)", _version("xdist", "pytest-xdist"), None),
    Part("datasets", _version("datasets"), None),
    Part("videos, PyAV", _version("av"), None),
    Part("videos, TorchCodec", "import torchcodec.decoders\n" + _version("torchcodec"), "torchcodec"),
    Part("videos, decord", _version("decord"), "decord"),
    Part("local models", "import torch, transformers\nprint('torch', torch.__version__, 'transformers', "
         "transformers.__version__)", "local"),
    Part("an accelerator", "import torch\nassert torch.cuda.is_available(), 'torch sees no GPU'\n"
         "print(torch.cuda.device_count(), 'x', torch.cuda.get_device_name(0))", None),
    Part("LoRA adapters", _version("peft"), "peft"),
    Part("quantised weights", _version("bitsandbytes"), "bitsandbytes"),
    Part("vLLM", _version("vllm"), "vllm"),
    Part("SGLang", _version("sglang"), "sglang"),
    Part("openai and compatible servers", _version("openai"), None),
    Part("quicker connections to servers", _version("aiohttp"), "remote"),
    Part("anthropic", _version("anthropic"), "anthropic"),
    Part("gemini", _version("google.genai", "google-genai"), "gemini"),
    Part("litellm", _version("litellm"), "litellm"),
    Part("Lance datasets", _version("lance", "pylance"), "lance"),
    Part("PDF pages", _version("pypdfium2"), "pdf"),
    Part("metrics of speech, maths, captions", "import math_verify, nltk, sacrebleu, whisper_normalizer\n"
         + _version("sacrebleu"), "metrics"),
    Part("METEOR of captions", _version("pycocoevalcap") + "\nfrom pytest_lmms.scoring.meteor import obstacle\n"
         "assert obstacle() is None, obstacle()", "meteor"),
    Part("Ray", _version("ray"), "ray"),
    Part("server and page", "import uvicorn\n" + _version("fastapi"), "serve"),
    Part("wandb", _version("wandb"), "wandb"),
    Part("trackio", _version("trackio"), "trackio"),
    Part("TensorBoard", _version("tensorboard"), "tensorboard"),
    Part("S3 addresses", _version("s3fs"), "s3"),
)  # fmt: skip


def examine(environ: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Look at everything, a line each.

    Args:
        environ: Variables; None takes the process's own.
    """
    environ = os.environ if environ is None else environ
    yield Finding("Python", "works", f"{sys.version.split()[0]} at {sys.executable}")
    yield Finding("pytest-lmms", "works", f"{version('pytest-lmms')} at {Path(__file__).parent}")
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 2) // 2)) as pool:
        yield from pool.map(_try, PARTS)
    ffmpeg = shutil.which("ffmpeg")
    remedy = "apt install ffmpeg: TorchCodec needs its libraries"
    yield Finding("ffmpeg", "works" if ffmpeg else "missing", ffmpeg or "not on PATH", "" if ffmpeg else remedy)
    for name in KEYS:
        yield Finding(name, "works" if environ.get(name) else "off", "is set" if environ.get(name) else "is not set")
    yield _hub(environ)


def _hub(environ: Mapping[str, str]) -> Finding:
    """Whether the place where datasets and checkpoints come from answers."""
    import httpx

    what, remedy = "Hugging Face Hub", "--lmms-data mini needs no network; see docs/tutorials/offline.md"
    if environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        return Finding(what, "off", "HF_HUB_OFFLINE is set: nothing is downloaded", remedy)
    address = environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        httpx.head(address, timeout=HUB_SECONDS, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        return Finding(what, "off", f"{address} does not answer: {type(e).__name__}"[:200], remedy)
    return Finding(what, "works", address)


def _try(part: Part) -> Finding:
    command = [sys.executable, "-c", part.code]
    install = f'pip install "pytest-lmms[{part.extra}]"' if part.extra else ""
    if part.extra in ENGINES:
        install += ", in an environment of its own: it brings another torch"
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Finding(part.what, "broken", f"its import takes more than {SECONDS} s")
    if done.returncode == 0:
        return Finding(part.what, "works", " ".join(done.stdout.split()))
    last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "")
    if "No module named" in last or "PackageNotFoundError" in last:
        return Finding(part.what, "missing", "not installed", install)
    if done.returncode < 0:
        return Finding(part.what, "broken", f"its import ends the process (signal {-done.returncode})", install)
    kind, _, text = last.partition(": ")
    state: State = "off" if kind == "AssertionError" else "broken"
    return Finding(part.what, state, (text or last)[:200])


def lines(findings: list[Finding]) -> Iterator[str]:
    """The findings as a table."""
    width = max(len(f.what) for f in findings)
    for finding in findings:
        yield f"{finding.what:{width}}  {finding.state:7}  {finding.detail}".rstrip()
        if finding.remedy:
            yield f"{'':{width}}           {finding.remedy}"


def main() -> int:
    """Print what there is.

    Returns:
        1 where something that is always needed does not work, else 0.
    """
    findings = list(examine())
    for line in lines(findings):
        sys.stdout.write(line + "\n")
    needed = {part.what for part in PARTS[:4]}
    return int(any(f.what in needed and f.state != "works" for f in findings))


if __name__ == "__main__":
    sys.exit(main())
