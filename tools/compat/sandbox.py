"""Where a task's own code runs: no network, no waiting, and media made where it looks for them."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np


class NeedsNetwork(Exception):
    """A task's code opened a connection."""


def offline() -> None:
    """Make connections fail at once, and waiting take no time."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise NeedsNetwork("its code asks a service on the network")

    socket.create_connection = refuse
    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.getaddrinfo = refuse
    time.sleep = lambda _seconds: None


@contextlib.contextmanager
def media_where_asked(folder: str) -> Iterator[None]:
    """Make a small real file wherever a task's code looks for one below a folder."""
    real = os.path.exists

    def exists(path: Any) -> bool:
        if real(path):
            return True
        with contextlib.suppress(TypeError, OSError):
            text = os.fspath(path)
            if isinstance(text, str) and text.startswith(folder):
                return make_file(text)
        return False

    os.path.exists = exists
    os.path.isfile, isfile = exists, os.path.isfile
    try:
        yield
    finally:
        os.path.exists, os.path.isfile = real, isfile


def make_file(path: str) -> bool:
    """A video, picture or sound by the path's extension; False for any other."""
    extension = os.path.splitext(path)[1].lower()
    if extension not in (".mp4", ".webm", ".mkv", ".avi", ".mov", ".jpg", ".jpeg", ".png", ".wav"):
        return False
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if extension in (".jpg", ".jpeg", ".png"):
        import PIL.Image

        PIL.Image.new("RGB", (24, 16), (len(path) % 256, 80, 160)).save(path)
    elif extension == ".wav":
        import soundfile

        soundfile.write(path, np.sin(np.arange(1600) / 9.0), 16000)
    else:
        import av

        with av.open(path, "w", format="mp4") as container:
            stream = container.add_stream("mpeg4", rate=4)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for shade in range(0, 240, 20):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return True
