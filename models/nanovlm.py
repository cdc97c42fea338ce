"""NanoVLM: SigLIP 2, an MLP and Qwen3, on the queue of `async_hf`: a replica on each device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from . import _nanovlm_network
from ._family import family
from ._processing import Batching
from .async_hf import AsyncHf
from .transformers_chat import TransformersChat

IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105  (a token of a vocabulary)
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for p in m.content %}{% if p.type == 'image' %}"
    "<|image_pad|>{% else %}{{ p.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class _Processor:
    """A tokenizer and an image processor that transformers does not know as a pair."""

    def __init__(self, tokenizer: Any, image_processor: Any, num_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self._num_tokens = num_tokens
        self.chat_template = CHAT_TEMPLATE

    def apply_chat_template(self, turns: Sequence[Mapping[str, Any]], **more: Any) -> str:
        return str(self.tokenizer.apply_chat_template(turns, **more))

    def __call__(
        self, text: Sequence[str], *, images: Any = None, text_kwargs: Mapping[str, Any], return_tensors: str
    ) -> dict[str, Any]:
        expanded = [each.replace(IMAGE_TOKEN, IMAGE_TOKEN * self._num_tokens) for each in text]
        inputs = dict(self.tokenizer(expanded, return_tensors=return_tensors, **text_kwargs))
        if images:
            flat = [image for each in images for image in (each if isinstance(each, list) else [each])]
            inputs |= dict(self.image_processor(images=flat, return_tensors=return_tensors))
        return inputs


@family(pretrained="LMMs-Lab-Speedrun/NanoVLM_Init", system_prompt="You are a helpful assistant.", max_new_tokens=16)
class NanoVLMReplica(TransformersChat):
    """One replica, as any other local model; videos are shown as frames."""

    batching: ClassVar[Batching] = "mixed"

    def _open_processor(self, options: Mapping[str, Any], pixels: Mapping[str, Any]) -> Any:
        import transformers

        config: Any = self._find_class(options).config_class.from_pretrained(self.pretrained, **options)
        image_processors: Any = transformers.AutoImageProcessor  # Untyped in transformers.
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(self.pretrained, **options)
        image_processor = image_processors.from_pretrained(
            self.pretrained, **options, **{"max_num_patches": config.image_token_count, **pixels}
        )
        return _Processor(tokenizer, image_processor, config.image_token_count)

    def _find_class(self, options: Mapping[str, Any]) -> Any:  # noqa: ARG002  (one class, whatever the checkpoint)
        return _nanovlm_network.network()


class NanoVLM(AsyncHf):
    """NanoVLM on every device; arguments are those of `AsyncHf`, and of `NanoVLMReplica` by name."""

    def _family(self, name: str) -> Any:  # noqa: ARG002  (one family)
        return NanoVLMReplica

    def __init__(
        self,
        pretrained: str | None = None,
        *,
        worker_gpus: str | int | None = None,
        worker_count: int | None = None,
        device: str | None = None,
        batch_size: int = 1,
        attn_implementation: str | None = None,
        system_prompt: str | None = "You are a helpful assistant.",
        use_cache: bool = True,
        **arguments: Any,
    ) -> None:
        """Load the replicas; see `AsyncHf`."""
        super().__init__(
            pretrained,
            family="nanovlm",
            worker_gpus=worker_gpus,
            worker_count=worker_count,
            device=device,
            batch_size=batch_size,
            attn_implementation=attn_implementation,
            system_prompt=system_prompt,
            use_cache=use_cache,
            **arguments,
        )
