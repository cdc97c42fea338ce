"""Qwen2.5-VL. Also runs Qwen2-VL and Qwen3-VL checkpoints, which share its processors' settings."""

from __future__ import annotations

from .transformers_chat import TransformersChat


class Qwen2_5_VL(TransformersChat):  # noqa: N801 - the family's own spelling
    """Qwen2.5-VL with the defaults that lmms-eval gives it, so that its numbers can be compared."""

    def __init__(
        self,
        pretrained: str = "Qwen/Qwen2.5-VL-3B-Instruct",
        *,
        revision: str | None = None,
        device: str | None = None,
        device_map: str | None = None,
        dtype: str = "auto",
        batch_size: int | None = None,
        attn_implementation: str | None = None,
        use_cache: bool = True,
        min_pixels: int | None = 256 * 28 * 28,
        max_pixels: int | None = 1605632,
        max_num_frames: int = 32,
        fps: float | None = None,
        max_image_size: int | None = None,
        system_prompt: str | None = "You are a helpful assistant.",
        interleave_visuals: bool = False,
        reasoning_prompt: str | None = None,
        trust_remote_code: bool = False,
        max_new_tokens: int = 128,
    ) -> None:
        """Load a checkpoint; arguments and errors are those of `TransformersChat`."""
        super().__init__(
            pretrained,
            revision=revision,
            device=device,
            device_map=device_map,
            dtype=dtype,
            batch_size=batch_size,
            attn_implementation=attn_implementation,
            use_cache=use_cache,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            max_num_frames=max_num_frames,
            fps=fps,
            max_image_size=max_image_size,
            system_prompt=system_prompt,
            interleave_visuals=interleave_visuals,
            reasoning_prompt=reasoning_prompt,
            trust_remote_code=trust_remote_code,
            max_new_tokens=max_new_tokens,
        )
