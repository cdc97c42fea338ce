"""Loading checkpoints of transformers, and telling one checkpoint from another.

Every failure here becomes a `ModelError` that names the checkpoint, the first cause and a remedy.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_lmms.errors import LmmsError, ModelError, explain, install_hint

SMALL_CHECKPOINT_BYTES = 32 * 1024 * 1024
"""Checkpoints below this size are told apart by content, larger ones by file sizes and times."""

_IDENTIFYING_SUFFIXES = (
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".gguf",
    ".json",
    ".jinja",
    ".model",
    ".txt",
)
_OFFLINE_SIGNS = (
    "offline",
    "couldn't connect",
    "connection error",
    "max retries",
    "name resolution",
)


@contextmanager
def naming(pretrained: str) -> Iterator[None]:
    """Turn what goes wrong while loading `pretrained` into a `ModelError`.

    Raises:
        ModelError: With the checkpoint, the first cause and a remedy.
    """
    try:
        yield
    except LmmsError:
        raise
    except Exception as error:
        cause = first_cause(error)
        raise ModelError(
            explain(
                f"cannot load this checkpoint: {type(cause).__name__}: {_first_line(cause)}",
                where=f"pretrained={pretrained}",
                remedy=_remedy(pretrained, error),
            )
        ) from error


def first_cause(error: BaseException) -> BaseException:
    """Follow ``raise ... from`` and implicit chains to the error that came first."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if earlier is None:
            break
        error = earlier
    return error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:400] if lines else "no message"


def _remedy(pretrained: str, error: BaseException) -> str:
    if isinstance(error, ImportError):
        return install_hint(error) or "install the package that it names"
    if os.path.isdir(pretrained):
        return "check that the folder is a complete checkpoint (config.json, weights, tokenizer)"
    if _looks_like_path(pretrained):
        return "there is no such folder; pass pretrained=<folder of a checkpoint>"
    texts: list[str] = []
    each: BaseException | None = error
    while each is not None and len(texts) < 10:
        texts.append(f"{type(each).__name__} {each}".lower())
        each = each.__cause__ or each.__context__
    if any(sign in text for text in texts for sign in _OFFLINE_SIGNS):
        return (
            "this machine cannot reach the hub, and its cache has no such checkpoint; pass "
            "pretrained=<local folder>, or unset HF_HUB_OFFLINE and try again with a network"
        )
    return "check the name on the hub and your access to it, or pass pretrained=<local folder>"


def _looks_like_path(pretrained: str) -> bool:
    return pretrained.startswith((".", "/", "~")) or pretrained.count("/") > 1


def resolve_device(device: str | None) -> str:
    """Return the torch device to use; None means CUDA where there is one, else the CPU."""
    import torch

    if device is None or device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(
            explain(
                f"device={device}, but torch sees no CUDA device",
                remedy="pass device=cpu, or install a torch with CUDA",
            )
        )
    return device


def resolve_dtype(dtype: str, device: str) -> Any:
    """Return the torch dtype for a name; ``auto`` is the checkpoint's own, and float32 on a CPU.

    Raises:
        ModelError: torch has no such floating-point dtype.
    """
    import torch

    names = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32"}
    name = names.get(dtype, dtype.removeprefix("torch."))
    if name == "auto":
        return torch.float32 if device == "cpu" else "auto"
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(explain(f"dtype={dtype!r}", expected="auto, float32, bfloat16 or float16"))
    return found


def load_processor(pretrained: str, *, options: Mapping[str, Any], pixels: Mapping[str, int]) -> Any:
    """Load a checkpoint's processor, also where torchvision is missing.

    A processor with a video part cannot be built without torchvision. It is then put together from
    the tokenizer and the PIL image processor alone; text and images are processed by the same
    code, videos are refused.

    Args:
        pretrained: Folder or hub name.
        options: Keyword arguments for every ``from_pretrained`` (revision, trust_remote_code).
        pixels: Settings of the image processor that the user said, ``min_pixels`` and ``max_pixels`` among them.

    Raises:
        ModelError: `pixels` holds something that this checkpoint's image processor does not know.
    """
    import transformers

    processors: Any = transformers.AutoProcessor  # Untyped in transformers.

    try:
        processor = processors.from_pretrained(pretrained, **options, **pixels)
    except ImportError as error:
        missing = error
        try:
            processor = _compose(pretrained, options, pixels, error)
        except ImportError as other:
            missing, processor = other, None
        if processor is None:
            raise missing from None
    _check_pixels(processor, pixels)
    return processor


def _compose(pretrained: str, options: Mapping[str, Any], pixels: Mapping[str, int], cause: ImportError) -> Any:
    import transformers
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    config = transformers.AutoConfig.from_pretrained(pretrained, **options)
    named, _ = transformers.ProcessorMixin.get_processor_dict(pretrained, **options)
    full: Any = getattr(transformers, str(named.get("processor_class")), None) or PROCESSOR_MAPPING.get(
        type(config), None
    )
    if full is None or "video_processor" not in getattr(full, "get_attributes", list)():
        raise cause
    tokenizer = transformers.AutoTokenizer.from_pretrained(pretrained, **options)
    image_processors: Any = transformers.AutoImageProcessor  # Untyped in transformers.
    parts: dict[str, Any] = {
        "image_processor": image_processors.from_pretrained(pretrained, **options, **pixels),
        "tokenizer": tokenizer,
        "video_processor": None,
    }
    if "feature_extractor" in full.get_attributes():
        feature_extractors: Any = transformers.AutoFeatureExtractor  # Untyped in transformers.
        parts["feature_extractor"] = feature_extractors.from_pretrained(pretrained, **options)
    known = inspect.signature(full.__init__).parameters.keys() - parts.keys() - {"self", "chat_template"}

    class WithoutVideo(full):  # type: ignore[misc]
        """The checkpoint's own processor with its video part left empty."""

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument is None:
                return type(None)
            return super().check_argument_for_proper_class(argument_name, argument)

    return WithoutVideo(
        **parts,
        **{name: value for name, value in named.items() if name in known},
        chat_template=getattr(tokenizer, "chat_template", None),
    )


def _check_pixels(processor: Any, pixels: Mapping[str, int]) -> None:
    """Refuse limits that the image processor swallowed without using them."""
    image_processor = getattr(processor, "image_processor", None)
    known = getattr(getattr(image_processor, "valid_kwargs", None), "__annotations__", {})
    for name in pixels:
        if name not in known and getattr(image_processor, name, None) is None:
            raise ModelError(
                explain(
                    f"{name}={pixels[name]}: {type(image_processor).__name__} has no such setting",
                    remedy=f"leave {name} out, or use max_image_size",
                )
            )


def weights_identity(pretrained: str, revision: str | None, commit: str | None) -> dict[str, Any]:
    """Describe a checkpoint so that another one, or an overwritten one, gives another description.

    Args:
        pretrained: Folder or hub name.
        revision: What the user asked the hub for.
        commit: What the hub gave, where known.

    Returns:
        For a hub name: name, revision and commit. For a folder below 32 MB: a SHA-256 of its
            files. For a larger
        folder: name, size in bytes and modification time in nanoseconds of each file. JSON values.
    """
    folder = Path(pretrained)
    if not folder.is_dir():
        return {"hub": pretrained, "revision": revision, "commit": commit}
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in _IDENTIFYING_SUFFIXES)
    states = [(path, path.stat()) for path in files]
    if sum(state.st_size for _, state in states) < SMALL_CHECKPOINT_BYTES:
        digest = hashlib.sha256()
        for path, state in states:
            digest.update(f"{path.name} {state.st_size};".encode())
            digest.update(path.read_bytes())
        return {"sha256": digest.hexdigest()}
    return {"files": [[path.name, state.st_size, state.st_mtime_ns] for path, state in states]}
