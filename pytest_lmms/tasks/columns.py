"""What a stored value becomes in a document: images and sounds stay closed until somebody looks at them.

Reads the features of a dataset in their JSON form (`Features.to_dict()`), so that it needs no `datasets`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_lmms.media.image import LazyImage
from pytest_lmms.media.lazy_audio import LazyAudio
from pytest_lmms.media.resolve import is_inside, outside_roots


def copied(value: Any) -> Any:
    """A copy whose lists and mappings task code may change."""
    if isinstance(value, list):
        return [copied(v) for v in value]
    return {k: copied(v) for k, v in value.items()} if isinstance(value, dict) else value


def wrapper(feature: Any, roots: Sequence[str] | None = None) -> Callable[[Any], Any] | None:
    """What turns a stored value of a feature into what task code sees; None where nothing changes.

    Args:
        feature: One entry of `Features.to_dict()`: `{"_type": "Image"}`, `{"_type": "List", "feature": ...}`, a mapping
            of names to features, or a list of one.
        roots: Folders in which a medium may lie that is stored by its path alone; the callable raises a `MediaError`
            for one elsewhere. None: anywhere.
    """
    if isinstance(feature, list):
        return _each(wrapper(feature[0], roots)) if feature else None
    if not isinstance(feature, Mapping):
        return None
    kind = feature.get("_type")
    if not isinstance(kind, str):
        inner = {k: w for k, f in feature.items() if (w := wrapper(f, roots))}
        return (lambda v: v and {k: inner[k](x) if k in inner else x for k, x in v.items()}) if inner else None
    if kind == "Image":
        return lambda v: None if v is None else _image(_confined(v, roots))
    if kind == "Audio":
        rate = feature.get("sampling_rate")
        return lambda v: None if v is None else _sound(_confined(v, roots), rate)
    if kind == "Video":
        return lambda v: v and (_confined(v, roots).get("path") or v)
    return _each(wrapper(feature["feature"], roots)) if "feature" in feature else None


def _each(wrap: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    return None if wrap is None else lambda v: v if v is None else [wrap(x) for x in v]


def _confined(value: Any, roots: Sequence[str] | None) -> Any:
    """A stored medium, unless it is a file that its dataset has no say over."""
    path = None if roots is None or value.get("bytes") is not None else value.get("path")
    if path and os.path.exists(path) and not is_inside(path, roots or ()):
        raise outside_roots(path, path, roots or ())
    return value


def _image(value: Any) -> Any:
    if value.get("bytes") is not None:
        return LazyImage.from_bytes(value["bytes"])
    return LazyImage.from_path(value["path"])


def _sound(value: Any, rate: int | None) -> LazyAudio:
    return LazyAudio(value.get("bytes"), value.get("path"), rate)
