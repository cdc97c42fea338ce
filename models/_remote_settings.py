"""The arguments that all adapters of remote models take, and what becomes of them. Asks nobody anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pytest_lmms.errors import UsageError, explain
from pytest_lmms.inference.concurrency import Limiter
from pytest_lmms.inference.controllers import make_controller
from pytest_lmms.inference.message_formats import MediaSettings
from pytest_lmms.inference.retry import RetryPolicy
from pytest_lmms.masks import Secrets, secrets_in
from pytest_lmms.media.image_format import wanted_format, wanted_quality
from pytest_lmms.records import Message

from ._attempt import Secret, address, header, mapping, one_name, split_user, without_password

_AT_LEAST: Mapping[str, float] = {
    "timeout": 0.001, "connect_timeout_s": 0.001, "first_token_timeout_s": 0.001, "max_retries": 0,
    "retry_backoff_s": 0, "prefix_hash_chars": 32, "max_new_tokens": 1, "nframes": 1, "max_frames_num": 1,
    "max_frames": 1, "fps": 0.001, "video_fps": 0.001, "max_pixels": 1, "max_image_size": 1, "max_size_in_mb": 0.001,
}  # fmt: skip
"""The smallest value of each argument that is a number."""


@dataclass(kw_only=True, eq=False, repr=False)
class RemoteSettings:
    """Where the model is, how it is asked and what it is shown."""

    is_remote: ClassVar[bool] = True
    why_no_logprobs: ClassVar[str] = "chat APIs tell none for a text that is given to them"
    key_variables: ClassVar[tuple[str, ...]] = ()
    """Environment variables that may hold the key; the first that is set counts."""
    base_url_variables: ClassVar[tuple[str, ...]] = ()
    removed_arguments: ClassVar[Mapping[str, str]] = {
        "is_qwen3_vl": "message_format=qwen3_vl",
        "azure_openai": "--lmms-model azure_openai",
        "batch_size": "num_concurrent=N, the most requests in flight",
    }
    """Arguments that lmms-eval has or had, and what replaces them."""

    model: str | None = field(default=None, kw_only=False)
    """The name that the server knows."""
    pretrained: str | None = None
    """Another word for `model`."""
    model_version: str | None = None
    """Another word for `model`."""
    base_url: str | None = None
    """The server's address; ``user:password@`` in it is sent instead of the key, a query with every request. None: the
    first of `base_url_variables` that is set, else the provider's own."""
    api_key: str | None = None
    """None: the first of `key_variables` that is set. It appears in no identity, message or representation."""
    extra_headers: Mapping[str, str] | None = field(default=None)
    """Further headers of every request, for gateways; hidden like the key."""
    timeout: float = 600.0
    """Seconds that one attempt may take."""
    connect_timeout_s: float = 10.0
    """Seconds until a connection stands."""
    first_token_timeout_s: float | None = None
    """Seconds until the first token of a streamed answer; None: no less than `timeout`."""
    max_retries: int = 5
    """Attempts after the first, for failures that may pass."""
    retry_backoff_s: float = 1.0
    """Seconds before the second attempt; doubled each time up to 60, with a random factor from 0.5 to 1. What the
    server says in Retry-After is obeyed instead."""
    num_concurrent: int | None = None
    """The most requests in flight, and how many to begin with. None: begin with 32, go up to 256."""
    concurrency: str = "adaptive"
    """``adaptive``: fewer when the server refuses, more while it bears them; ``windowed``: lmms-eval's rules;
    ``fixed``: always `num_concurrent`, or 32."""
    adaptive_concurrency: bool | None = None
    """lmms-eval's switch: true is ``windowed``, false ``fixed``."""
    adaptive_min_concurrency: int | None = None
    """The fewest requests in flight (1)."""
    adaptive_max_concurrency: int | None = None
    """The most (``windowed``: 128)."""
    adaptive_target_latency_s: float | None = None
    """``windowed``: seconds that 95 % of the answers should take at most (15)."""
    adaptive_increase_step: float | None = None
    """``windowed``: share by which the limit grows (0.1)."""
    adaptive_decrease_factor: float | None = None
    """``windowed``: what the limit is multiplied by when it falls (0.7)."""
    adaptive_failure_threshold: float | None = None
    """``windowed``: share of failures that is too much (0.05)."""
    prefix_aware_queue: bool = True
    """Ask documents that begin alike one after the other, so that a server can use what it has cached."""
    prefix_hash_chars: int = 256
    """How much of the beginning counts, in characters; at least 32."""
    stream: bool = True
    """Take answers piece by piece; without it there is no time to first token."""
    system_prompt: str | None = None
    """Said first, unless the request has a system message of its own."""
    max_new_tokens: int = 1024
    """For requests that do not say how much to generate."""
    nframes: int = 64
    """Frames of a video, spread evenly."""
    max_frames_num: int | None = None
    """Another word for `nframes`."""
    fps: float | None = None
    """Frames a second of a video, instead of `nframes`."""
    video_fps: float | None = None
    """Another word for `fps`."""
    max_frames: int = 768
    """The most frames of a video, whatever `fps` says."""
    max_pixels: int | None = None
    """Frames of videos with more are made smaller."""
    max_image_size: int | None = None
    """Pixels: images and frames are made smaller until their longer side is at most this."""
    max_size_in_mb: float = 20.0
    """Images whose encoded file is larger are sent as smaller JPEG files, and the response says so."""
    image_format: str | None = None
    """PNG, JPEG or WEBP for every image. None: LMMS_IMAGE_ENCODE_FORMAT, else as the dataset stores it."""
    image_quality: int | None = None
    """1 to 100, of JPEG and WEBP. None: LMMS_IMAGE_JPEG_QUALITY, else 85."""

    def __post_init__(self) -> None:
        """Check the settings; nothing is opened yet.

        Raises:
            UsageError: No or two different model names, no key, an impossible number, or an unknown format of images.
        """
        self._name = one_name({n: getattr(self, n) for n in ("model", "pretrained", "model_version")})
        self._key = Secret(header(self._find_key(self.api_key), "api_key"))
        self.api_key = None
        said = (os.environ.get(name) for name in self.base_url_variables)
        found = self.base_url or next((url for url in said if url), None)
        self._base_url = address(str(found)) if found else None
        said_in_address = list(secrets_in(self._base_url or ""))
        self._base_url, user = split_user(self._base_url) if self._base_url else (None, {})
        added = mapping(self.extra_headers, "extra_headers")
        self._headers = {
            **user,
            **{str(name): header(value, f"extra_headers: {name}") for name, value in added.items()},
        }
        self._secrets = Secrets([self._key.value, *said_in_address, *secrets_in({"headers": self._headers})])
        """What messages must not repeat."""
        self.extra_headers = None
        self.system_prompt = None if self.system_prompt is None else str(self.system_prompt)
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and (not isinstance(value, (int, float)) or not value >= least):
                raise UsageError(explain(f"{name}={value}", expected=f"at least {least}"))
        self.limiter = Limiter(
            make_controller(
                self.concurrency,
                num_concurrent=self.num_concurrent,
                adaptive=self.adaptive_concurrency,
                least=self.adaptive_min_concurrency,
                most=self.adaptive_max_concurrency,
                target_latency_s=self.adaptive_target_latency_s,
                increase_step=self.adaptive_increase_step,
                decrease_factor=self.adaptive_decrease_factor,
                failure_threshold=self.adaptive_failure_threshold,
            )
        )
        self._policy = RetryPolicy(
            max_retries=int(self.max_retries),
            backoff_seconds=float(self.retry_backoff_s),
            longest_retry_after_seconds=float(self.timeout),
        )
        self._media = MediaSettings(
            num_frames=self.max_frames_num or self.nframes,
            fps=self.fps or self.video_fps,
            max_frames=self.max_frames,
            max_pixels=self.max_pixels,
            max_side_px=self.max_image_size,
            max_bytes=int(self.max_size_in_mb * 1_000_000),
            image_format=wanted_format(self.image_format),
            image_quality=wanted_quality(self.image_quality),
        )
        self._client: Any = None

    def _find_key(self, api_key: str | None) -> str:
        key = api_key or next((os.environ[n] for n in self.key_variables if os.environ.get(n)), None)
        if not key:
            raise UsageError(
                explain(
                    "no API key",
                    where="api_key",
                    remedy=f"set {' or '.join(self.key_variables)}, or pass api_key=...; any text will do for a "
                    "server that asks for none",
                )
            )
        return str(key)

    @property
    def identity(self) -> Mapping[str, Any]:
        """The server, the model and what this adapter adds to a request; no key."""
        media = self._media
        return {
            "adapter": type(self).__name__,
            "base_url": without_password(self._base_url) if self._base_url else None,
            "model": self._name,
            "system_prompt": self.system_prompt,
            "max_new_tokens": self.max_new_tokens,
            "media": [media.num_frames, media.fps, media.max_frames, media.max_pixels, media.max_bytes],
            "images": [media.image_format, media.image_quality],
            **({"max_image_size": media.max_side_px} if media.max_side_px else {}),
        }

    def _server(self) -> str:
        """The address in messages."""
        return without_password(self._base_url or "the provider's own address")

    def _with_system(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The messages, with this adapter's system prompt when they have none."""
        if self.system_prompt and all(message.role != "system" for message in messages):
            return (Message(role="system", content=(self.system_prompt,)), *messages)
        return messages
