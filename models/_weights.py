"""Weights of a checkpoint: the right class, placement, quantisation, LoRA adapters."""

from __future__ import annotations

import contextlib
import contextvars
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pytest_lmms.errors import ModelError, UsageError, did_you_mean, explain

from . import _loading

AUTO_CLASSES = (
    "AutoModelForImageTextToText",
    "AutoModelForMultimodalLM",
    "AutoModelForSeq2SeqLM",
    "AutoModelForCausalLM",
)
QUANTISATIONS: dict[str, dict[str, Any]] = {
    "bnb_4bit": {"load_in_4bit": True, "bnb_4bit_compute_dtype": "bfloat16"},
    "bnb_8bit": {"load_in_8bit": True},
}
"""What `quantization` may name, and the arguments of bitsandbytes that it stands for."""


def load_weights(
    pretrained: str,
    *,
    find_class: Callable[[Mapping[str, Any]], Any],
    device: str | None,
    device_map: str | None,
    dtype: str,
    attn_implementation: str | None,
    quantization: str | None,
    peft: str | None,
    options: Mapping[str, Any],
) -> Any:
    """Load a model, ready to answer.

    Args:
        pretrained: Folder or hub name.
        find_class: Given `options`, returns the class to load with.
        device: As for `_loading.resolve_device`.
        device_map: Hands placement to accelerate.
        dtype: As for `_loading.resolve_dtype`.
        attn_implementation: None leaves it to transformers.
        quantization: ``bnb_4bit`` or ``bnb_8bit``.
        peft: Folder or hub name of a LoRA adapter, merged into the weights where they are not quantised.
        options: For ``from_pretrained``: revision, trust_remote_code.

    Returns:
        A model of transformers in evaluation mode, on its device.

    Raises:
        UsageError: `quantization` is none of the known.
        ModelError: A library is missing, or no class knows the checkpoint's family.
    """
    if (model := _GIVEN.get()) is not None:
        return model
    import torch

    name = _loading.resolve_device(device)
    arguments: dict[str, Any] = {
        **options,
        **quantisation_arguments(quantization),
        "dtype": _loading.resolve_dtype(dtype, "cuda" if device_map else name),
    }
    if attn_implementation:
        arguments["attn_implementation"] = attn_implementation
    if quantization and not device_map:
        device_map = name  # quantised weights are made on the device, and do not move afterwards
    if device_map:
        arguments["device_map"] = device_map
    found = find_class(options)
    if _LEFT_OUT.get():
        return _empty(found, pretrained, options)
    model = found.from_pretrained(pretrained, **arguments)
    if peft:
        model = with_adapter(model, peft, merge=not quantization)
    model = model.eval()
    return model if device_map else model.to(torch.device(name))


_LEFT_OUT: contextvars.ContextVar[bool] = contextvars.ContextVar("_LEFT_OUT", default=False)


@contextlib.contextmanager
def left_out() -> Iterator[None]:
    """Load no weights: models made meanwhile have a configuration and a shape, and cannot answer."""
    token = _LEFT_OUT.set(True)
    try:
        yield
    finally:
        _LEFT_OUT.reset(token)


_GIVEN: contextvars.ContextVar[Any] = contextvars.ContextVar("_GIVEN", default=None)


@contextlib.contextmanager
def given(model: Any) -> Iterator[None]:
    """Load no weights: adapters made meanwhile use this model, where it is and as it is."""
    token = _GIVEN.set(model)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def _empty(found: Any, pretrained: str, options: Mapping[str, Any]) -> Any:
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(pretrained, **options)
    make = getattr(found, "from_config", found)
    with torch.device("meta"):
        return make(config).eval()


def describe(
    model: Any, pretrained: str, *, revision: str | None, peft: str | None, quantization: str | None
) -> dict[str, Any]:
    """Return what of loaded weights changes text, as JSON values."""
    return {
        "weights": _loading.weights_identity(pretrained, revision, getattr(model.config, "_commit_hash", None)),
        "peft": _loading.weights_identity(peft, None, None) if peft else None,
        "quantization": quantization,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "attn_implementation": getattr(model.config, "_attn_implementation", None),
    }


def context_length(model: Any) -> int | None:
    """Tokens that prompt and answer of a model may have together; None where its configuration does not say."""
    config = model.config
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    found = getattr(text, "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


def find_class(pretrained: str, classes: Sequence[str], options: Mapping[str, Any]) -> Any:
    """Return the first of transformers' classes that knows a checkpoint's family.

    Args:
        pretrained: Folder or hub name.
        classes: Names; an auto class is taken if it knows the family, another is taken at once.
        options: For ``from_pretrained``.

    Raises:
        ModelError: None of them knows it.
    """
    import transformers

    config = transformers.AutoConfig.from_pretrained(pretrained, **options)
    remote = getattr(config, "auto_map", None) or {}
    for name in classes:
        found: Any = getattr(transformers, name)
        if not name.startswith("Auto") or type(config) in found._model_mapping or name in remote:  # noqa: SLF001
            return found
    if remote:
        return transformers.AutoModel
    raise ModelError(
        explain(
            f"no class that generates text knows the family {config.model_type!r}",
            where=f"pretrained={pretrained}",
            expected=f"a checkpoint for one of: {', '.join(classes)}",
        )
    )


def quantisation_arguments(quantization: str | None) -> dict[str, Any]:
    """Return what ``from_pretrained`` is given for a quantisation.

    Raises:
        UsageError: Unknown name.
        ModelError: bitsandbytes is not installed.
    """
    if quantization is None:
        return {}
    if quantization not in QUANTISATIONS:
        raise UsageError(
            explain(
                f"quantization={quantization}",
                expected=f"one of: {', '.join(QUANTISATIONS)}",
                suggestion=did_you_mean(str(quantization), QUANTISATIONS),
            )
        )
    import transformers

    make: Any = transformers.BitsAndBytesConfig  # Untyped in transformers.
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(
            explain(f"quantization={quantization} needs bitsandbytes", remedy="pip install pytest-lmms[bitsandbytes]")
        )
    return {"quantization_config": make(**QUANTISATIONS[quantization])}


def with_adapter(model: Any, peft: str, *, merge: bool) -> Any:
    """Put a LoRA adapter onto a model.

    Raises:
        ModelError: The library peft is missing, or the adapter does not fit.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ModelError(
            explain(f"peft={peft} needs the library peft", remedy="pip install pytest-lmms[peft]")
        ) from error
    try:
        adapted: Any = PeftModel.from_pretrained(model, peft)
    except Exception as error:
        cause = _loading.first_cause(error)
        raise ModelError(
            explain(
                f"cannot put this adapter onto the model: {type(cause).__name__}: {str(cause).splitlines()[0][:300]}",
                where=f"peft={peft}",
                remedy="check that the folder has adapter_config.json and was trained on this checkpoint",
            )
        ) from error
    return adapted.merge_and_unload() if merge else adapted
