"""Videos through TorchCodec, with FFmpeg's libraries of the system. The one importer of `torchcodec`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined,unused-ignore]

from pytest_lmms.errors import MediaError, explain
from pytest_lmms.media import _pyav
from pytest_lmms.media.frames import VideoFrames, shaped
from pytest_lmms.media.sampling import Sampling, frame_indices

DEVICE_VARIABLE = "LMMS_VIDEO_TORCHCODEC_DEVICE"


def read(
    source: Any,
    sampling: Sampling,
    *,
    where: str,
    threads: int,
    shape: Callable[[Any], Any] | None = None,
) -> VideoFrames:
    """Read frames of a video; arguments and errors as in `_pyav.read`.

    The environment variable LMMS_VIDEO_TORCHCODEC_DEVICE names the device that decodes (`cpu`, `cuda`, `cuda:1`).
    """
    device = os.environ.get(DEVICE_VARIABLE) or "cpu"
    try:
        decoder = VideoDecoder(source, dimension_order="NHWC", num_ffmpeg_threads=threads, device=device)
        metadata = decoder.metadata
        total = len(decoder)
        if not total:
            raise MediaError(explain("the video has no frames", where=where))
        fps = _pyav.outline(source, where).fps if sampling.needs_rate else metadata.average_fps
        indices = frame_indices(total, fps, sampling)
        batch = decoder.get_frames_at(indices.tolist())
    except (RuntimeError, ValueError, TypeError, OSError, IndexError) as e:
        reason = str(e).strip().split("\n")[0]
        raise MediaError(explain(f"cannot be read as a video by torchcodec: {reason}", where=where)) from e
    begin = metadata.begin_stream_seconds or 0.0
    return VideoFrames(
        frames=shaped(batch.data.cpu().numpy(), shape),
        timestamps_seconds=batch.pts_seconds.numpy().astype(np.float64) - begin,
        indices=indices,
        fps=None if fps is None else float(fps),
        duration_seconds=float(metadata.duration_seconds or 0) or None,
        total=total,
    )
