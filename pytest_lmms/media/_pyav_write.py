"""Writing small videos, for miniatures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av


def write_video(path: Path, frames: Iterable[Any], *, fps: int) -> None:
    """Write frames as MPEG-4.

    Args:
        path: Of the file; its suffix names the container.
        frames: PIL images of one size, both sides even.
        fps: Frames per second.
    """
    make_frame: Any = av.VideoFrame.from_image
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(frames):
            if not number:
                stream.width, stream.height = image.size
            container.mux(stream.encode(make_frame(image)))
        container.mux(stream.encode(None))
