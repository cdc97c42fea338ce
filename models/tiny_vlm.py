"""The tiny model of pytest-lmms: a real Qwen2.5-VL, small enough for a CPU and a test.

It exists so that a fresh checkout can run a benchmark within seconds and without a network. Its
scores mean nothing; that they change when the weights change is what it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lmms.errors import UsageError, explain

from .qwen_vl import Qwen2_5_VL

_NOISE_SEED = 0


class TinyVlm(Qwen2_5_VL):
    """The tiny model on the CPU in float32, with as much noise on its weights as one likes."""

    def __init__(
        self,
        pretrained: str | None = None,
        *,
        noise: float = 0.0,
        device: str | None = None,
        dtype: str = "float32",
        batch_size: int | None = None,
        attn_implementation: str | None = None,
        use_cache: bool = True,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        max_num_frames: int = 8,
        max_frames: int | None = None,
        fps: float | None = None,
        max_image_size: int | None = None,
        peft: str | None = None,
        enable_thinking: bool | None = None,
        system_prompt: str | None = "You are a helpful assistant.",
        interleave_visuals: bool = False,
        reasoning_prompt: str | None = None,
        max_new_tokens: int = 128,
    ) -> None:
        """Load the checkpoint that lies beside this file.

        Args:
            pretrained: Another checkpoint of the family; None is the folder `tiny_vlm` beside this
                file.
            noise: Standard deviation of Gaussian noise added to every weight tensor, in units of
                that tensor's own standard deviation; 0 adds none. Seeded: the same noise is the
                same model. A way to make a regression at will.
            device: None is the CPU, also where there is a GPU: the model is too small to gain from
                one.
            dtype: As for `TransformersChat`.
            batch_size: As for `TransformersChat`.
            attn_implementation: As for `TransformersChat`.
            use_cache: As for `TransformersChat`.
            min_pixels: None is what the checkpoint itself says.
            max_pixels: None is what the checkpoint itself says.
            max_num_frames: As for `TransformersChat`.
            max_frames: As for `TransformersChat`.
            fps: As for `TransformersChat`.
            max_image_size: As for `TransformersChat`.
            peft: As for `TransformersChat`.
            enable_thinking: As for `TransformersChat`.
            system_prompt: As for `TransformersChat`.
            interleave_visuals: As for `TransformersChat`.
            reasoning_prompt: As for `TransformersChat`.
            max_new_tokens: As for `TransformersChat`.

        Raises:
            UsageError: `noise` is negative.
            ModelError: The checkpoint cannot be loaded.
        """
        if noise < 0:
            raise UsageError(explain(f"noise={noise}", expected="0 or a positive number"))
        super().__init__(
            pretrained or str(Path(__file__).with_suffix("")),
            device=device or "cpu",
            dtype=dtype,
            batch_size=batch_size,
            attn_implementation=attn_implementation,
            use_cache=use_cache,
            min_pixels=min_pixels,
            max_pixels=max_pixels,
            max_num_frames=max_num_frames,
            max_frames=max_frames,
            fps=fps,
            max_image_size=max_image_size,
            peft=peft,
            enable_thinking=enable_thinking,
            system_prompt=system_prompt,
            interleave_visuals=interleave_visuals,
            reasoning_prompt=reasoning_prompt,
            max_new_tokens=max_new_tokens,
        )
        self._noise = float(noise)
        if noise and self._model.device.type != "meta":
            self._add_noise()

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the text of responses depends on, the noise included."""
        return {**super().identity, "noise": self._noise}

    def _add_noise(self) -> None:
        import torch

        generator = torch.Generator().manual_seed(_NOISE_SEED)
        with torch.no_grad():
            # Sorted by name: the same noise in whatever order transformers keeps the layers.
            for _, weight in sorted(self._model.named_parameters(), key=lambda item: item[0]):
                if weight.numel() < 2:
                    continue
                drawn = torch.randn(weight.shape, generator=generator)
                weight.add_((self._noise * weight.float().std().cpu() * drawn).to(weight))
