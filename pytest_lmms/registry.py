"""Names of models: from what users type to the class that answers, imported on first use.

Listing and checking names imports nothing, so that a typo costs milliseconds. Knows no task, and
no library that a model may need.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pytest_lmms import catalog
from pytest_lmms.errors import ModelError, UsageError, did_you_mean, explain


class Registry:
    """Names, each standing for ``module:attribute``, and their aliases."""

    def __init__(self, kind: str, *, listing: str, discover: Sequence[Callable[[Registry], None]] = ()) -> None:
        """Make an empty registry.

        Args:
            kind: What the names stand for, for messages: ``model``.
            listing: The command that lists the names, for messages.
            discover: Each registers names that others have installed; called once, in order, as long as a name is not
                known without, or all when all names are asked for.
        """
        self._kind = kind
        self._listing = listing
        self._discover = list(discover)
        self._refused: dict[str, str] = {}
        self._targets: dict[str, str] = {}
        self._aliases: dict[str, str] = {}

    def register(self, name: str, target: str, *, aliases: Iterable[str] = (), replace: bool = False) -> None:
        """Add a name.

        Args:
            name: The name.
            target: ``package.module:Attribute``; ``models/file:Attribute`` for a file of the
                catalogue; ``path/to/file.py:Attribute`` for a file anywhere. Nothing is imported
                yet.
            aliases: Other names for the same.
            replace: Allow a name that is taken.

        Raises:
            UsageError: The name is taken, or the target has no ``:``.
        """
        if not isinstance(target, str) or ":" not in target:
            raise UsageError(
                explain(
                    f"the {self._kind} {name!r} is registered as {target!r}",
                    expected="module:attribute",
                )
            )
        for each in (name, *aliases):
            if not replace and each in self and self._resolve(each) != name:
                raise UsageError(
                    explain(
                        f"the {self._kind} name {each!r} is registered twice: "
                        f"{self._targets[self._resolve(each)]} and {target}",
                        remedy="rename one of them, or register with replace=True",
                    )
                )
        self._aliases.pop(name, None)
        self._targets[name] = target
        for alias in aliases:
            self._targets.pop(alias, None)
            self._aliases[alias] = name

    def refuse(self, name: str, reason: str) -> None:
        """Say why a name that somebody might use stands for nothing; one that is registered stays."""
        self._refused[name] = reason

    def __contains__(self, name: object) -> bool:
        """Whether a name or alias is known; others' names only once they have been discovered."""
        return name in self._targets or name in self._aliases

    def names(self) -> list[str]:
        """Return all names without aliases, sorted; imports none of what they stand for."""
        self._look_around()
        return sorted(self._targets)

    def _look_around(self, name: str | None = None) -> None:
        """Ask for others' names until one of them is `name`."""
        while self._discover and (name is None or name not in self):
            self._discover.pop(0)(self)

    def aliases(self, name: str) -> list[str]:
        """Return the other names of `name`, sorted."""
        return sorted(alias for alias, target in self._aliases.items() if target == name)

    def canonical(self, name: str, *, where: str | None = None) -> str:
        """Return the name that an alias stands for; a name stands for itself.

        Args:
            name: A name or an alias.
            where: Who says so, for errors.

        Raises:
            UsageError: Unknown name, with the one that was probably meant.
        """
        if name not in self and name in REMOVED_MODELS:
            raise UsageError(
                explain(
                    f"the {self._kind} {name!r} was removed in lmms-eval 0.7",
                    where=where,
                    remedy=f"use: {REMOVED_MODELS[name]}",
                )
            )
        self._look_around(name)
        if name not in self and name in self._refused:
            raise UsageError(self._refused[name])
        if name not in self:
            known = [*self._targets, *self._aliases]
            raise UsageError(
                explain(
                    f"unknown {self._kind} {name!r}",
                    where=where,
                    expected=f"one of: {', '.join(self.names())}",
                    suggestion=did_you_mean(name, known),
                    remedy=f"list all with: {self._listing}",
                )
            )
        return self._resolve(name)

    def target(self, name: str, *, where: str | None = None) -> str:
        """Return where a name leads, as registered; imports nothing."""
        return self._targets[self.canonical(name, where=where)]

    def load(self, name: str, *, where: str | None = None) -> Any:
        """Import what a name stands for.

        Args:
            name: A name or an alias.
            where: Who says so, for errors.

        Raises:
            UsageError: Unknown name.
            ModelError: The module cannot be imported, or lacks the attribute; the message holds
                the first cause.
        """
        target = self.target(name, where=where)
        module_name, _, attribute = target.rpartition(":")
        try:
            module = _import(module_name)
        except (UsageError, ImportError) as error:
            missing = getattr(error, "name", None)
            raise ModelError(
                explain(
                    f"the {self._kind} {name!r} ({target}) cannot be imported: {error}",
                    remedy=f"install what provides {missing!r}" if missing else None,
                )
            ) from error
        try:
            return getattr(module, attribute)
        except AttributeError:
            raise ModelError(
                explain(
                    f"the {self._kind} {name!r}: {module_name} has no {attribute!r}",
                    suggestion=did_you_mean(attribute, vars(module)),
                )
            ) from None

    def _resolve(self, name: str) -> str:
        return self._aliases.get(name, name)


def _import(module_name: str) -> Any:
    if module_name.endswith(".py"):
        return catalog.import_file(module_name)
    if module_name.startswith("models/"):
        return catalog.import_model_module(module_name.removeprefix("models/"))
    return importlib.import_module(module_name)


REMOVED_MODELS: Mapping[str, str] = {
    "async_openai_qwen3_vl": "--lmms-model async_openai --lmms-model-args message_format=qwen3_vl",
}
"""Names that lmms-eval once had, and what to type instead."""


def _installed(models: Registry) -> None:
    from pytest_lmms.entry_points import register_installed

    register_installed(models)


def _installed_for_lmms_eval(models: Registry) -> None:
    from pytest_lmms.entry_points import register_manifests

    register_manifests(models)


MODELS = Registry("model", listing="pytest-lmms models", discover=[_installed, _installed_for_lmms_eval])
"""The models that come with pytest-lmms; the hook `pytest_lmms_register_models` and installed packages add others."""

for _name, _target, _aliases in (
    ("huggingface", "models/transformers_chat:TransformersChat", ("hf", "hf_chat")),
    ("qwen2_vl", "models/qwen_vl:Qwen2_VL", ("qwen2_vl_chat",)),
    ("qwen2_5_vl", "models/qwen_vl:Qwen2_5_VL", ("qwen2_5_vl_chat",)),
    ("qwen3_vl", "models/qwen_vl:Qwen3_VL", ("qwen3_vl_chat",)),
    ("llava_onevision1_5", "models/qwen_vl:LlavaOneVision1_5", ("llava_onevision1_5_chat",)),
    ("qwen2_5_omni", "models/qwen_omni:Qwen2_5_Omni", ()),
    ("qwen3_omni", "models/qwen_omni:Qwen3_Omni", ()),
    ("qwen2_audio", "models/qwen_omni:Qwen2_Audio", ()),
    ("audio_flamingo_3", "models/audio_flamingo_3:AudioFlamingo3", ()),
    ("llava_hf", "models/image_text:LlavaHf", ("llava_hf_chat",)),
    ("llava_onevision", "models/image_text:LlavaOneVision", ()),
    ("internvl_hf", "models/image_text:InternVLHf", ("internvl_hf_chat", "internvl3", "internvl3_5")),
    ("gemma3", "models/image_text:Gemma3", ()),
    ("idefics2", "models/image_text:Idefics2", ()),
    ("idefics3", "models/image_text:Idefics3", ()),
    ("smolvlm", "models/image_text:SmolVLM", ()),
    ("glm4v", "models/image_text:Glm4v", ()),
    ("aria", "models/image_text:Aria", ()),
    ("llama_vision", "models/image_text:LlamaVision", ("mllama",)),
    ("llama4_scout", "models/image_text:Llama4Scout", ()),
    ("mistral3", "models/image_text:Mistral3", ()),
    ("aya_vision", "models/image_text:AyaVision", ()),
    ("ovis2", "models/image_text:Ovis2", ()),
    ("minicpm_v", "models/image_text:MiniCPMV", ()),
    ("phi4_multimodal", "models/image_text:Phi4Multimodal", ("phi4_multimodal_chat",)),
    ("paligemma", "models/plain_prompts:PaliGemma", ()),
    ("video_llava", "models/plain_prompts:VideoLlava", ()),
    ("instructblip", "models/plain_prompts:InstructBlip", ()),
    ("fuyu", "models/plain_prompts:Fuyu", ()),
    ("kosmos2_5", "models/plain_prompts:Kosmos2_5", ()),
    ("whisper", "models/whisper:Whisper", ()),
    ("nanovlm", "models/nanovlm:NanoVLM", ()),
    ("async_hf_model", "models/async_hf:AsyncHf", ("async_hf",)),
    ("vllm", "models/vllm:Vllm", ("vllm_chat", "vllm_generate")),
    ("sglang", "models/sglang:SGLang", ()),
    ("tiny_vlm", "models/tiny_vlm:TinyVlm", ()),
    ("dummy", "models/dummy:Dummy", ("dummy_video_reader",)),
    ("scripted", "models/scripted:Scripted", ()),
    ("from_log", "models/from_log:FromLog", ()),
    ("openai", "models/openai:OpenAIChat", ("openai_compatible", "openai_compatible_chat")),
    ("azure_openai", "models/azure_openai:AzureOpenAIChat", ()),
    ("openai_batch", "models/openai_batch:OpenAIBatch", ()),
    ("anthropic", "models/anthropic:AnthropicChat", ("claude",)),
    ("gemini", "models/gemini:GeminiChat", ("gemini_api",)),
    ("litellm", "models/litellm:LiteLLMChat", ("litellm_chat", "litellm_compatible")),
    ("async_openai", "models/openai:AsyncOpenAIChat", ("async_openai_compatible", "async_openai_compatible_chat")),
):
    MODELS.register(_name, _target, aliases=_aliases)
