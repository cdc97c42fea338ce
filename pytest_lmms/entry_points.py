"""Models of other installed packages: their entry points become names of the registry.

Group `pytest_lmms.models`: the entry point's name is the model's, its value the adapter's class
(`mymodel = "my_package.module:MyModel"`). Nothing is imported until the name is used.

Group `lmms_eval.models`: a manifest of lmms-eval's registry (`model_id`, `chat_class_path`, `simple_class_path`,
`aliases`), several, or a function that returns them. A chat class becomes an adapter (`models/lmms_eval_chat.py`); a
simple class, which asks tasks for its prompt instead of being given messages, is refused with that reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from importlib import metadata
from typing import Any, Protocol

from pytest_lmms.errors import UsageError, explain

OURS, LMMS_EVAL = "pytest_lmms.models", "lmms_eval.models"
WRAPPER = "models/lmms_eval_chat"
"""Gives an adapter for the dotted name of a chat class of lmms-eval."""


class Registers(Protocol):
    """What is needed of a registry."""

    def register(self, name: str, target: str, *, aliases: Iterable[str] = ()) -> None:
        """See `registry.Registry.register`."""
        ...

    def __contains__(self, name: object) -> bool:
        """Whether a name is taken."""
        ...

    def refuse(self, name: str, reason: str) -> None:
        """See `registry.Registry.refuse`."""
        ...


def register_installed(models: Registers) -> None:
    """Register the adapters of installed packages; imports nothing of theirs.

    A name that is taken, and an entry point that is wrong, is warned about and left out: a package that somebody
    installed for something else must not end a run that does not use it.
    """
    for entry in sorted(metadata.entry_points(group=OURS)):
        try:
            _check_free(models, entry.name)
            models.register(entry.name, entry.value)
        except UsageError as error:
            _warn(entry, error)


def register_manifests(models: Registers) -> None:
    """Register lmms-eval's manifests, for which their packages are imported; see `register_installed`."""
    for entry in sorted(metadata.entry_points(group=LMMS_EVAL)):
        try:
            for manifest in _manifests(entry.load()):
                _register_manifest(models, manifest)
        except Exception as error:  # noqa: BLE001  (others' code; told below)
            _warn(entry, error)


def _manifests(payload: Any) -> Iterator[Any]:
    if callable(payload):
        payload = payload()
    for manifest in [payload] if hasattr(payload, "model_id") else payload:
        if not hasattr(manifest, "model_id"):
            raise TypeError(f"{manifest!r:.80} is no ModelManifest")
        yield manifest


def _check_free(models: Registers, name: str) -> None:
    if name in models:
        raise UsageError(f"there is a model {name!r} already")


def _register_manifest(models: Registers, manifest: Any) -> None:
    name, chat = manifest.model_id, getattr(manifest, "chat_class_path", None)
    _check_free(models, name)
    if chat:
        models.register(name, f"{WRAPPER}:{chat}", aliases=tuple(getattr(manifest, "aliases", ())))
    else:
        models.refuse(name, simple_style(name, manifest.simple_class_path))


def simple_style(name: str, path: str) -> str:
    """Say why a simple class of lmms-eval cannot be used."""
    return explain(
        f"the model {name!r} ({path}) is a simple model of lmms-eval: it calls functions of the tasks for its prompt",
        expected="a chat model (is_simple = False), which is given the messages of each document",
        remedy="write generate_until for messages and name the class in chat_class_path",
    )


def _warn(entry: metadata.EntryPoint, error: Exception) -> None:
    package = entry.dist.name if entry.dist is not None else "an installed package"
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    warnings.warn(
        f"{package}: its models are left out ({entry.group}: {entry.name} = {entry.value}): {said}", stacklevel=2
    )
