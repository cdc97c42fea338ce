"""A checkpoint's processor: rendering its chat template, and tokenising text beside media."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pytest_lmms.errors import ModelError, explain
from pytest_lmms.records import MediaRef, Request

from . import _conversation, _media
from ._conversation import Shown

Batching = Literal["mixed", "kinds", "counts", "single"]
"""Which requests a processor takes together: any; those that have the same kinds of media; those that have as many of
each; none."""


class Processing:
    """Turns requests into a model's inputs. Safe on several threads once made."""

    def __init__(
        self,
        processor: Any,
        *,
        where: str,
        template: str | None,
        fallback_template: str | None,
        enable_thinking: bool | None,
        batching: Batching,
    ) -> None:
        """Wrap a processor, and set its padding for good.

        Args:
            processor: Of transformers.
            where: Names the checkpoint in messages.
            template: The user's chat template, as text or as a file's path.
            fallback_template: For checkpoints of a family that come without one.
            enable_thinking: Passed to the template; None leaves the choice to it.
            batching: Which requests go together.

        Raises:
            ModelError: There is no chat template.
        """
        self.processor = processor
        self.tokenizer = getattr(processor, "tokenizer", processor)
        self._where = where
        self._batching = batching
        self._thinking = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
        self.template = _read(template) or self._own_template() or fallback_template
        if not self.template:
            raise ModelError(
                explain(
                    "the checkpoint has no chat template",
                    where=where,
                    expected="chat_template.jinja, or chat_template in tokenizer_config.json",
                    remedy="pass chat_template=<file>, or name the family with --lmms-model",
                )
            )
        parameters = inspect.signature(type(processor).__call__).parameters
        self._audio_name = next((name for name in ("audio", "audios") if name in parameters), None)
        self._shows_images = getattr(processor, "image_processor", None) is not None
        self.shows_videos = getattr(processor, "video_processor", None) is not None
        ears = (getattr(processor, name, None) for name in ("feature_extractor", "audio_processor"))
        self._ears = next((each for each in ears if each is not None), None) if self._audio_name else None
        self._bos = getattr(self.tokenizer, "bos_token", None)

    def _own_template(self) -> Any:
        found = (getattr(each, "chat_template", None) for each in (self.processor, self.tokenizer))
        return next((template for template in found if template), None)

    def set_padding(self, end_tokens: frozenset[int]) -> None:
        """Pad on the left, from now on: threads may share a fast tokenizer only while nobody changes it.

        Raises:
            ModelError: There is no token to pad with.
        """
        tokenizer = self.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            if not end_tokens:
                raise ModelError(
                    explain("the tokenizer has neither a padding nor an end-of-text token", where=self._where)
                )
            tokenizer.pad_token = tokenizer.convert_ids_to_tokens(min(end_tokens))
        if self._batching == "mixed":
            self.tokenise(["one", "and two"], [Shown(), Shown()])

    def alike(self, requests: Sequence[Request]) -> list[list[int]]:
        """Return the places of requests that the processor takes together, in groups."""
        groups: dict[Any, list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault(self._key(place, request), []).append(place)
        return list(groups.values())

    def _key(self, place: int, request: Request) -> Any:
        if self._batching == "mixed":
            return None
        if self._batching == "single":
            return place
        kinds = sorted(ref.kind for ref in request.media)
        return tuple(kinds) if self._batching == "counts" else tuple(dict.fromkeys(kinds))

    @property
    def sampling_rate(self) -> int:
        """Samples per second of the sounds that the processor takes."""
        return int(getattr(self._ears, "sampling_rate", 16000))

    def show(
        self, ref: MediaRef, shown: Shown, *, max_side_px: int | None, max_frames: int, fps: float | None
    ) -> list[dict[str, Any]]:
        """Open one medium, append it to `shown`, and return the template's entries for it.

        A video becomes as many images as it has frames where the processor takes none.

        Raises:
            MediaError: It cannot be read.
            ModelError: The model takes no media of this kind.
        """
        if ref.kind == "image" and self._shows_images:
            shown.images.append(_media.image(ref, max_side_px=max_side_px))
            return [{"type": "image"}]
        if ref.kind == "video" and (self.shows_videos or self._shows_images):
            clip = _media.clip(ref, max_frames=max_frames, fps=fps, max_side_px=max_side_px)
            if self.shows_videos:
                shown.videos.append(clip)
                return [{"type": "video"}]
            shown.images.extend(_media.as_images(clip))
            return [{"type": "image"}] * len(clip.frames)
        if ref.kind == "audio" and self._ears is not None:
            shown.audios.append(_media.samples(ref, rate=self.sampling_rate))
            return [{"type": "audio"}]
        takes = [
            "text",
            *["images"] * self._shows_images,
            *["video"] * self._shows_images,
            *["audio"] * (self._ears is not None),
        ]
        raise ModelError(
            explain(f"this model cannot be shown {ref.kind}", where=self._where, expected=" or ".join(takes))
        )

    def render(self, turns: Sequence[Mapping[str, Any]]) -> str:
        """Render the chat template up to where the model begins to speak."""
        text = self.processor.apply_chat_template(
            list(turns), chat_template=self.template, tokenize=False, add_generation_prompt=True, **self._thinking
        )
        return str(text)

    def tokenise(self, texts: Sequence[str], shown: Sequence[Shown]) -> dict[str, Any]:
        """Return the model's inputs for prompts and their media, padded on the left."""
        words: dict[str, Any] = {"padding": True}  # of text alone: sounds are padded as their encoder needs it
        if self._bos and all(text.startswith(self._bos) for text in texts):
            words["add_special_tokens"] = False  # the template wrote it already
        arguments: dict[str, Any] = {"text": list(texts), "text_kwargs": words, "return_tensors": "pt"}
        images = [each.images for each in shown]
        if all(images):
            arguments["images"] = images
        elif any(images):
            # Processors look into the first list to learn how images are nested: none may be empty.
            arguments["images"] = [image for pictures in images for image in pictures]
        clips = [clip for each in shown for clip in each.videos]
        if clips:
            arguments["videos"] = [clip.frames for clip in clips]
            arguments["video_metadata"] = [_media.metadata(clip) for clip in clips]
            arguments["do_sample_frames"] = False
        audios = [audio for each in shown for audio in each.audios]
        if audios and self._audio_name:
            arguments[self._audio_name] = audios
        if self.processor is self.tokenizer:
            arguments = {**arguments, **arguments.pop("text_kwargs")}
        inputs = dict(self.processor(**arguments))
        inputs.pop("labels", None)  # for training
        return inputs

    def describe(self) -> dict[str, Any]:
        """Return what of a processor changes text, as JSON values."""
        found: dict[str, Any] = {"chat_template": hashlib.sha256(str(self.template).encode()).hexdigest()}
        for name in ("image_processor", "video_processor", "feature_extractor", "audio_processor"):
            part = getattr(self.processor, name, None)
            if part is not None:
                settings = repr(sorted(part.to_dict().items(), key=lambda item: item[0]))
                found[name] = {
                    "class": type(part).__name__,
                    "settings": hashlib.sha256(settings.encode()).hexdigest(),
                }
        return found


def _read(template: str | None) -> str | None:
    if template and "{" not in template and os.path.exists(template):
        return Path(template).read_text(encoding="utf-8")
    return template


def conversation(
    processing: Processing, request: Request, wording: _conversation.Wording, limits: Mapping[str, Any]
) -> tuple[str, Shown]:
    """Return a request's prompt and its opened media."""
    turns, shown = _conversation.build(request, wording, lambda ref, shown: processing.show(ref, shown, **limits))
    return processing.render(turns), shown
