"""Damaged images and sounds are read or refused, by every reader, in our words and with their path; `make fuzz-images`
tries many more.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from pytest_lmms.errors import MediaError
from pytest_lmms.media.audio import open_audio
from pytest_lmms.media.image import open_image
from pytest_lmms.records import MediaRef

pytestmark = pytest.mark.filterwarnings(
    "ignore:Corrupt EXIF data", "ignore:Truncated File Read", "ignore:Tag data larger"
)
TOOLS = Path(__file__).parents[2] / "tools" / "fuzz"

NO_MEDIA = [
    b"",
    b"Two cats on a sofa.\n" * 50,
    b"\0" * 3000,
    b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
    b"ffconcat version 1.0\nfile /etc/passwd\n",
]


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import damage
    import images

    yield images, damage.damaged
    for name in ("damage", "images", "harness"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_read_or_refused(fuzz, tmp_path, seed):
    images, damaged = fuzz
    whole, named = images.seeds(), images.readers()
    wrong = {}
    for name, data in whole.items():
        rng = random.Random(f"{seed}/{name}")
        path = tmp_path / name
        path.write_bytes(damaged(data, rng))
        answers = images.read_all(str(path), named)
        wrong |= {f"{name}, {reader}": a for reader, a in answers.items() if a not in ("read", "refused")}
    assert not wrong


def test_a_whole_file_is_read_by_the_readers_of_its_kind(fuzz, tmp_path):
    images, _ = fuzz
    named = images.readers()
    for name, data in images.seeds().items():
        path = tmp_path / name
        path.write_bytes(data)
        read = {reader for reader, answer in images.read_all(str(path), named).items() if answer == "read"}
        expected = {n for n in named if ("audio" in n) == name.startswith("sound.")}
        assert read == expected, name


@pytest.mark.parametrize("kind", ["image", "audio"])
@pytest.mark.parametrize("content", NO_MEDIA)
def test_what_is_neither_is_refused_with_its_path(tmp_path, kind, content):
    path = tmp_path / ("a.png" if kind == "image" else "a.mp3")
    path.write_bytes(content)
    with pytest.raises(MediaError, match="cannot") as caught:
        (open_image if kind == "image" else open_audio)(MediaRef(kind=kind, path=str(path)))
    assert str(path) in str(caught.value)
