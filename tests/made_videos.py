"""Videos made on the spot: every frame is another picture, so that a wrong one shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np


def picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A frame that codecs keep apart from its neighbours: a ramp that moves, and a square that says the number."""
    y, x = np.mgrid[:height, :width]
    frame = np.stack([(x * 3 + number * 7) % 256, (y * 4 + number * 11) % 256, (x + y + number * 5) % 256], axis=-1)
    frame[8:24, 8:24] = (number * 37 % 256, number * 59 % 256, number * 83 % 256)
    return frame.astype(np.uint8)


def make_video(
    path: Path | str,
    *,
    num_frames: int = 60,
    codec: str = "libx264",
    fps: int = 25,
    group: int = 12,
    size: tuple[int, int] = (64, 48),
    options: dict[str, str] | None = None,
    times: list[int] | None = None,
    rotation: float | None = None,
    sound: bool = False,
    container_options: dict[str, str] | None = None,
) -> str:
    """Write a video; the container comes from the path's extension.

    Args:
        times: When frames are shown, in frames' lengths; None is 0, 1, 2, ...
        rotation: Degrees, counter-clockwise, by which a player has to turn it.
        sound: With a sound beside it.
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.gop_size = group
        if rotation is not None:
            stream.set_display_rotation(rotation)
        audio = container.add_stream("aac", rate=16000) if sound else None
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
            frame.pts = number if times is None else times[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
            samples.sample_rate = 16000
            container.mux(audio.encode(samples))
            container.mux(audio.encode(None))
    return str(path)


def decoded(path: str) -> np.ndarray:
    """All frames, by a decoder that runs from the first to the last: uint8 (num_frames, height, width, 3)."""
    with av.open(path) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
