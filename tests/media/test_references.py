"""Digests: equal for equal media, different for different ones, and cheap."""

from __future__ import annotations

import io
import os

import numpy as np
import PIL.Image
import pytest

from pytest_lmms.errors import MediaError
from pytest_lmms.media import references
from pytest_lmms.media.image import LazyImage
from pytest_lmms.media.references import digest
from pytest_lmms.records import MediaRef


def png(color=(1, 2, 3)):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (4, 3), color).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_file_and_its_bytes_are_one_medium(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png())
    by_path = digest(MediaRef(kind="image", path=str(path)))
    assert by_path == digest(MediaRef(kind="image", data=png()))
    assert by_path.startswith("image/:encoded:")


def test_kind_mode_and_bytes_all_matter():
    refs = [
        MediaRef(kind="image", data=png()),
        MediaRef(kind="video", data=png()),
        MediaRef(kind="image", data=png(), mode="RGB"),
        MediaRef(kind="image", data=png((9, 9, 9))),
        MediaRef(kind="image", url="http://localhost/a.png"),
        MediaRef(kind="image", content=PIL.Image.new("RGB", (4, 3), (1, 2, 3))),
        MediaRef(kind="image", content=PIL.Image.new("RGB", (3, 4), (1, 2, 3))),
        MediaRef(kind="image", content=PIL.Image.new("L", (4, 3), 1)),
        MediaRef(kind="video", content=np.zeros((2, 4, 4, 3), np.uint8)),
        MediaRef(kind="video", content=np.zeros((4, 2, 4, 3), np.uint8)),
        MediaRef(kind="audio", content={"array": np.zeros(8, np.float32), "sampling_rate": 16000}),
        MediaRef(kind="audio", content={"array": np.zeros(8, np.float32), "sampling_rate": 8000}),
        MediaRef(kind="audio", content={"array": np.zeros(8, np.float64), "sampling_rate": 8000}),
        MediaRef(kind="audio", content={"array": [0.0] * 8, "sampling_rate": 8000}),
    ]
    digests = [digest(ref) for ref in refs]
    assert len(set(digests)) == len(refs)
    assert digests == [digest(ref) for ref in refs]


def test_a_palette_is_part_of_the_image():
    first, second = (PIL.Image.new("P", (2, 2)) for _ in range(2))
    first.putpalette([0, 0, 0])
    second.putpalette([255, 0, 0])
    one, two = (digest(MediaRef(kind="image", content=image)) for image in (first, second))
    assert one != two


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    path.write_bytes(b"first")
    ref = MediaRef(kind="video", path=str(path))
    references._digest_file.cache_clear()
    first = digest(ref)
    assert digest(ref) == first
    assert references._digest_file.cache_info().hits == 1
    path.write_bytes(b"other")
    os.utime(path, ns=(1, 1))
    assert digest(ref) != first


def test_a_lazy_image_is_hashed_undecoded():
    lazy = LazyImage.from_bytes(png()).convert("RGB")
    assert digest(MediaRef(kind="image", content=lazy)) == digest(MediaRef(kind="image", data=png(), mode="RGB"))
    assert lazy.encoded_reference() is not None
    lazy.putpixel((0, 0), (0, 0, 0))
    assert ":object:" in digest(MediaRef(kind="image", content=lazy))


def test_what_cannot_be_hashed_says_why(tmp_path):
    with pytest.raises(MediaError, match=r"nothing\.png"):
        digest(MediaRef(kind="image", path=str(tmp_path / "nothing.png")))
    with pytest.raises(MediaError, match="empty image reference"):
        digest(MediaRef(kind="image"))
    with pytest.raises(MediaError, match="expected: a PIL image"):
        digest(MediaRef(kind="image", content=lambda: None))
