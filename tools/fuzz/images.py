"""Damaged images and sounds, to every reader: no crash, no hang, no unbounded memory, and no error but ours.

    python tools/fuzz/images.py --count 5000 --seed 0      # `make fuzz-images`
    python tools/fuzz/images.py --keep DIR                 # where files that broke a rule are kept

A child process reads the files, one after another. If it dies or takes longer than the limit, the file is known, the
child is replaced, and the rest goes on. Exits with 1 when a rule was broken.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
from harness import feed, serve  # noqa: E402


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
        named = readers()
        serve(lambda name: read_all(name, named))
        return 0
    broken = feed(
        seeds(), [sys.executable, __file__, "--child"], count=given.count, seed=given.seed,
        limit_seconds=given.limit, keep=given.keep, fine=("read", "refused"), any_extension=True,
    )  # fmt: skip
    print("\n".join(broken))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
