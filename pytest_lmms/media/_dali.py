"""Videos through NVIDIA DALI, decoded on a GPU. The one importer of `nvidia.dali`.

DALI is told which frames to decode; how many there are, the container's index says, which PyAV reads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from nvidia import dali

from pytest_lmms.errors import MediaError, UsageError, explain
from pytest_lmms.media import _pyav
from pytest_lmms.media.frames import VideoFrames, shaped
from pytest_lmms.media.sampling import Sampling, frame_indices

DEVICE_VARIABLE = "LMMS_VIDEO_DALI_DEVICE"
DEVICE_ID_VARIABLE = "LMMS_VIDEO_DALI_DEVICE_ID"


def read(
    source: Any,
    sampling: Sampling,
    *,
    where: str,
    threads: int,
    shape: Callable[[Any], Any] | None = None,
) -> VideoFrames:
    """Read frames of a video; arguments and errors as in `_pyav.read`.

    LMMS_VIDEO_DALI_DEVICE is `gpu`, or `cpu`, where DALI reads VP8, VP9 and MJPEG only; LMMS_VIDEO_DALI_DEVICE_ID is
    the number of the GPU, from 0.

    Raises:
        UsageError: No such device, or no GPU where one is asked for.
    """
    device = os.environ.get(DEVICE_VARIABLE) or "gpu"
    if device not in ("gpu", "cpu"):
        raise UsageError(explain(f"{device!r}", where=DEVICE_VARIABLE, expected="gpu or cpu"))
    number = os.environ.get(DEVICE_ID_VARIABLE) or "0"
    if not number.isdecimal():
        raise UsageError(explain(f"{number!r}", where=DEVICE_ID_VARIABLE, expected="a whole number from 0"))
    outline = _pyav.outline(source, where)
    indices = frame_indices(outline.total, outline.fps, sampling)
    encoded = np.frombuffer(source, np.uint8) if isinstance(source, bytes) else _bytes_of(source)
    try:
        frames = _decode(encoded, indices.tolist(), device, int(number), threads)
    except RuntimeError as e:
        reason = str(e).strip().split("\n")[0]
        if "CUDA" in str(e) or "nvml" in str(e).lower():
            raise UsageError(
                explain(f"DALI found no GPU: {reason}", where=DEVICE_VARIABLE, remedy="choose another video backend")
            ) from e
        raise MediaError(explain(f"cannot be read as a video by DALI: {reason}", where=where)) from e
    return VideoFrames(
        frames=shaped(frames, shape),
        timestamps_seconds=indices / (outline.fps or 1.0),
        indices=indices,
        fps=outline.fps,
        duration_seconds=outline.duration_seconds,
        total=outline.total,
    )


def _bytes_of(source: Any) -> Any:
    if isinstance(source, str):
        return np.fromfile(source, np.uint8)
    source.seek(0)
    return np.frombuffer(source.read(), np.uint8)


def _decode(encoded: Any, indices: list[int], device: str, device_id: int, threads: int) -> Any:
    on_gpu = device == "gpu"

    @dali.pipeline_def(
        batch_size=1, num_threads=threads, device_id=device_id if on_gpu else None, prefetch_queue_depth=1
    )  # type: ignore[untyped-decorator,unused-ignore]
    def pipeline() -> Any:
        stream = dali.fn.external_source(source=lambda: [encoded], dtype=dali.types.UINT8, batch=True)
        return dali.fn.decoders.video(stream, device="mixed" if on_gpu else "cpu", frames=indices)

    built = pipeline()
    built.build()
    (found,) = built.run()
    return np.array(found.as_cpu()[0] if on_gpu else found[0])
