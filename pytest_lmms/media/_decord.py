"""Videos through decord. The one importer of `decord`."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import decord
import numpy as np

from pytest_lmms.errors import MediaError, explain
from pytest_lmms.media import _pyav
from pytest_lmms.media.frames import VideoFrames, shaped
from pytest_lmms.media.sampling import Sampling, frame_indices


def read(
    source: Any,
    sampling: Sampling,
    *,
    where: str,
    threads: int,
    shape: Callable[[Any], Any] | None = None,
) -> VideoFrames:
    """Read frames of a video; arguments and errors as in `_pyav.read`."""
    try:
        opened = io.BytesIO(source) if isinstance(source, bytes) else source
        reader = decord.VideoReader(opened, ctx=decord.cpu(0), num_threads=threads)
        total = len(reader)
        if not total:
            raise MediaError(explain("the video has no frames", where=where))
        fps = _pyav.outline(source, where).fps if sampling.needs_rate else float(reader.get_avg_fps()) or None
        indices = frame_indices(total, fps, sampling)
        frames = reader.get_batch(indices.tolist()).asnumpy()
        begin = float(reader.get_frame_timestamp(0)[0])
        times = np.array([float(reader.get_frame_timestamp(int(i))[0]) - begin for i in indices])
        end = float(reader.get_frame_timestamp(total - 1)[1])
    except (RuntimeError, ValueError, IndexError, decord.DECORDError) as e:
        reason = str(e).strip().split("\n")[0]
        raise MediaError(explain(f"cannot be read as a video by decord: {reason}", where=where)) from e
    return VideoFrames(
        frames=shaped(frames, shape),
        timestamps_seconds=times,
        indices=indices,
        fps=fps,
        duration_seconds=end - begin,
        total=total,
    )
