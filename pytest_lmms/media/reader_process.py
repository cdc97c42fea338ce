"""Backends that can neither be interrupted nor trusted with a damaged file, each video in a process that may be killed.

decord and DALI decode in threads of their own: a call that does not come back cannot be stopped, and decord ends its
process over some damaged files. Here they run in a process that is kept for the next video, and replaced when it
hangs or dies. Orders are pickles on its standard input; answers are lines of JSON on its standard output, with the
frames as they are after them.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pytest_lmms.errors import LmmsError, MediaError, UsageError, explain
from pytest_lmms.media.frames import VideoFrames, shrinker
from pytest_lmms.media.sampling import Sampling

LIMIT_VARIABLE = "LMMS_VIDEO_DECODE_SECONDS"
DEFAULT_LIMIT_SECONDS = 300
_SETTINGS = "LMMS_VIDEO_"
"""Environment variables that begin so are those of each order."""
_ARRAYS = {"timestamps_seconds": np.float64, "indices": np.int64}
_ERRORS: dict[str, type[Exception]] = {
    "MediaError": MediaError, "UsageError": UsageError, "ImportError": ImportError, "LmmsError": LmmsError,
}  # fmt: skip
"""What a reader may raise, the particular before the general."""
_idle: list[subprocess.Popen[bytes]] = []
"""Processes that wait for a video."""


@dataclass(frozen=True)
class _Order:
    """A video to be read, as the other process is told."""

    module: str
    source: Any
    sampling: Sampling
    where: str
    threads: int
    max_side_px: int | None
    settings: dict[str, str]


def read(
    module: str,
    source: Any,
    sampling: Sampling,
    *,
    where: str,
    threads: int,
    max_side_px: int | None,
    limit_seconds: float,
) -> VideoFrames:
    """Have `read` of a module (`pytest_lmms.media._decord`) read frames of a video.

    Args:
        module: The reader's; imported in the other process.
        source: Path, encoded file, or open binary file.
        sampling: What to take.
        where: Names the source in errors.
        threads: As in `_pyav.read`.
        max_side_px: As in `open_video`.
        limit_seconds: For this video; 0 is no limit.

    Raises:
        ImportError: The module, or its library, cannot be imported.
        MediaError: Of the reader; or it took longer than the limit, or ended its process.
    """
    if hasattr(source, "read"):
        source.seek(0)
        source = source.read()
    settings = {k: v for k, v in os.environ.items() if k.startswith(_SETTINGS)}
    order = _Order(module, source, sampling, where, threads, max_side_px, settings)
    process = _idle.pop() if _idle else _start()
    orders: Any = process.stdin
    watch = Watch(process, limit_seconds)
    try:
        with watch:
            pickle.dump(order, orders)
            orders.flush()
            answer = _answer(process.stdout)
    except (EOFError, OSError, ValueError) as e:
        code = _dropped(process)
        reason = f"it took longer than {limit_seconds:g} s" if watch.has_ended_it else f"its process ended with {code}"
        remedy = (
            f"set {LIMIT_VARIABLE} higher, or use the backend pyav" if watch.has_ended_it else "use the backend pyav"
        )
        name = module.rpartition("._")[2]
        raise MediaError(explain(f"cannot be read as a video by {name}: {reason}", where=where, remedy=remedy)) from e
    except BaseException:
        process.kill()  # interrupted: what it would answer is no answer to the next order
        _dropped(process)
        raise
    _idle.append(process)
    if isinstance(answer, Exception):
        raise answer
    return answer


class Watch:
    """Kills a process that takes longer than a limit."""

    def __init__(self, process: subprocess.Popen[bytes], limit_seconds: float) -> None:
        self.has_ended_it = False
        self._process = process
        self._timer = threading.Timer(limit_seconds, self._end) if limit_seconds else None

    def _end(self) -> None:
        self.has_ended_it = True
        self._process.kill()

    def __enter__(self) -> None:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", f"from {__name__} import serve; serve()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    atexit.unregister(_end_all)
    atexit.register(_end_all)
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)  # noqa: S603


def _dropped(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process that ends, close its pipes, and return its exit code."""
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # what it did not take of an order
            pipe.close()  # type: ignore[union-attr]
    return process.wait()


def _end_all() -> None:
    """End those that wait."""
    while _idle:
        process = _idle.pop()
        process.kill()
        _dropped(process)


def _answer(pipe: Any) -> VideoFrames | Exception:
    """Frames, or an error that the reader raised."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    told = json.loads(line)
    if "error" in told:
        return _ERRORS[told["error"]](told["text"])
    frames: Any = np.empty(told.pop("shape"), np.uint8)
    left = memoryview(frames.reshape(-1))
    while left:
        count = pipe.readinto(left)
        if not count:
            raise EOFError
        left = left[count:]
    arrays: dict[str, Any] = {name: np.array(told.pop(name), kind) for name, kind in _ARRAYS.items()}
    return VideoFrames(frames=frames, **arrays, **told)


# --- the other process


def serve() -> None:
    """Read videos, as orders on standard input say, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever gives orders is interrupted, and ends this
    orders = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    while True:
        try:
            order = pickle.load(orders)  # noqa: S301 - of the process that started this one
        except EOFError:
            return
        answer = _obey(order)
        answers.write(json.dumps(_told(answer)).encode() + b"\n")
        if isinstance(answer, VideoFrames):
            frames: Any = np.ascontiguousarray(answer.frames)
            answers.write(memoryview(frames.reshape(-1)))
        with contextlib.suppress(BrokenPipeError):
            answers.flush()


def _told(answer: VideoFrames | Exception) -> dict[str, Any]:
    """All but the frames, for JSON: what reads damaged files must not be able to have objects built elsewhere."""
    if isinstance(answer, Exception):
        known = next(name for name, kind in _ERRORS.items() if isinstance(answer, kind))
        return {"error": known, "text": str(answer)}
    numbers = {f.name: getattr(answer, f.name) for f in fields(answer) if f.name not in ("frames", *_ARRAYS)}
    plain = {name: n if n is None else n.item() if isinstance(n, np.generic) else n for name, n in numbers.items()}
    arrays = {name: np.asarray(getattr(answer, name)).tolist() for name in _ARRAYS}
    return {"shape": list(answer.frames.shape), **plain, **arrays}


def _obey(order: _Order) -> VideoFrames | Exception:
    for name in [k for k in os.environ if k.startswith(_SETTINGS)]:
        del os.environ[name]
    os.environ.update(order.settings)
    shape = None if order.max_side_px is None else shrinker(order.max_side_px)
    where = order.where
    try:
        reader = importlib.import_module(order.module)
    except (ImportError, RuntimeError, OSError) as e:
        return ImportError(str(e))
    try:
        found: VideoFrames = reader.read(order.source, order.sampling, where=where, threads=order.threads, shape=shape)
    except LmmsError as e:
        return e
    except MemoryError:
        return MediaError(explain("there is not enough memory to decode this video", where=where))
    except Exception as e:  # noqa: BLE001 - of a library; this process must answer
        return MediaError(explain(f"cannot be read as a video: {type(e).__name__}: {e}", where=where))
    return found
