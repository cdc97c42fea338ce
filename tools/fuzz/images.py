"""Damaged images and sounds, to every reader: no crash, no hang, no unbounded memory, and no error but ours.

    python tools/fuzz/images.py --count 5000 --seed 0      # `make fuzz-images`
    python tools/fuzz/images.py --keep DIR                 # where files that broke a rule are kept

A child process reads the files, one after another. If it dies or takes longer than the limit, the file is known, the
child is replaced, and the rest goes on. Exits with 1 when a rule was broken.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
from damage import damaged  # noqa: E402

MAX_MEMORY_MB = 2000
"""Of address space beyond what the libraries take."""


def seeds() -> dict[str, bytes]:
    """Whole files, small ones: every kind of image and of sound."""
    import numpy as np
    import PIL.Image

    from tests.media.sounds import encoded, sine

    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 4), np.uint8)
    rgba = PIL.Image.fromarray(pixels)
    rgb = rgba.convert("RGB")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    images: dict[str, tuple[PIL.Image.Image, dict[str, Any]]] = {
        "rgb.png": (rgb, {}),
        "rgba.png": (rgba, {}),
        "palette.png": (rgb.quantize(64), {"transparency": 3}),
        "wide.png": (PIL.Image.fromarray(pixels[..., 0].astype(np.uint16) * 200), {}),
        "turned.png": (rgb, {"exif": exif}),
        "a.jpg": (rgb, {"exif": exif}),
        "progressive.jpg": (rgb, {"progressive": True}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}),
        "lossy.webp": (rgb, {}),
        "lossless.webp": (rgba, {"lossless": True}),
        "a.gif": (rgb, {"save_all": True, "append_images": [rgb.rotate(90)]}),
        "a.bmp": (rgb, {}),
        "deflated.tiff": (rgb, {"compression": "tiff_adobe_deflate"}),
        "a.tiff": (rgb, {}),
    }
    whole = {}
    for name, (image, options) in images.items():
        file = io.BytesIO()
        image.save(file, {"jpg": "JPEG"}.get(name.partition(".")[2], name.partition(".")[2].upper()), **options)
        whole[name] = file.getvalue()
    for form in ("wav", "flac", "ogg", "mp3", "m4a", "webm"):
        whole[f"sound.{form}"] = encoded(sine(0.5, 48000), form, 48000)
    return whole


def readers() -> dict[str, Callable[[str], object]]:
    """Name to what takes a path and raises an error of ours when it cannot read it."""
    from pytest_lmms.media.audio import open_audio
    from pytest_lmms.media.encode import encode_image
    from pytest_lmms.media.encode_audio import encode_audio_to_base64
    from pytest_lmms.media.image import LazyImage, open_image
    from pytest_lmms.records import MediaRef

    return {
        "open_image": lambda path: open_image(MediaRef(kind="image", path=path)),
        "LazyImage.size": lambda path: LazyImage.from_path(path).size,
        "LazyImage.resize": lambda path: LazyImage.from_path(path).convert("RGB").resize((4, 4)),
        "encode_image": lambda path: encode_image(path, max_bytes=3000),
        "open_audio": lambda path: open_audio(MediaRef(kind="audio", path=path)),
        "encode_audio": lambda path: encode_audio_to_base64(MediaRef(kind="audio", path=path)),
    }


def read_all(path: str, named: dict[str, Callable[[str], object]]) -> dict[str, str]:
    """What each reader says of a file: `read`, `refused`, or what was wrong with the reader."""
    from pytest_lmms.errors import MediaError

    answers = {}
    for name, read in named.items():
        try:
            read(path)
            answers[name] = "read"
        except MediaError as error:
            answers[name] = "refused" if path in str(error) else f"no path in: {error}"
        except Exception as error:  # noqa: BLE001 - anything that is no error of ours is what is looked for
            answers[name] = f"{type(error).__name__}: {error}"
    return answers


def child() -> None:
    """Read files named on standard input, one JSON answer a file."""
    named, limited = readers(), False
    for line in sys.stdin:
        print(json.dumps(read_all(line.rstrip("\n"), named)), flush=True)
        if not limited:  # the libraries are loaded now
            with open("/proc/self/statm", encoding="ascii") as file:
                now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (now + MAX_MEMORY_MB * 1_000_000, resource.RLIM_INFINITY))
            limited = True


class Child:
    """A process that reads, replaced when it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, path: Path, limit_seconds: float) -> dict[str, str]:
        """Have a file read; what went wrong with the process is an answer too."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            limit_seconds += 60  # it imports its libraries
        print(path, file=self._process.stdin, flush=True)
        ready, _, _ = select.select([self._process.stdout], [], [], limit_seconds)
        line = self._process.stdout.readline() if ready else None
        if line:
            return json.loads(line)
        if line is None:
            self._process.kill()
        code = self._process.wait()
        self._process = None
        return {"process": "hung" if line is None else f"died with {code}"}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait(30)


def run(count: int, seed: int, limit_seconds: float, keep: Path | None) -> list[str]:
    """Feed damaged files; return a line for every rule that was broken."""
    whole, reader, broken = seeds(), Child(), []
    counts: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            rng = random.Random(f"{seed}/{number}")
            name = rng.choice(sorted(whole))
            path = Path(folder) / rng.choice(sorted(whole))  # the extension may be wrong as well
            path.write_bytes(damaged(whole[name], rng))
            start = time.perf_counter()
            answers = reader.ask(path, limit_seconds)
            slowest = max(slowest, time.perf_counter() - start) if number else 0.0
            for what, answer in answers.items():
                fine = answer in ("read", "refused")
                counts[f"{what}: {answer if fine else 'broken'}"] += 1
                if not fine:
                    broken.append(f"{seed}/{number} {name}, {what}: {answer}")
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f"{seed}_{number}_{name}").write_bytes(path.read_bytes())
    reader.close()
    print(f"{count} files: " + ", ".join(f"{k} {v}" for k, v in sorted(counts.items())) + f"; slowest {slowest:.2f} s")
    return broken


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for one file")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child()
        return 0
    broken = run(given.count, given.seed, given.limit, given.keep)
    print("\n".join(broken))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
