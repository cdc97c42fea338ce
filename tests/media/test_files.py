"""Only regular files of a bearable size are read whole."""

from __future__ import annotations

import os

import pytest

from pytest_lmms.errors import MediaError
from pytest_lmms.media import files
from pytest_lmms.media.audio import read_audio
from pytest_lmms.media.encode import encode_image
from pytest_lmms.media.encode_audio import encode_audio_to_base64
from pytest_lmms.media.files import read_whole
from pytest_lmms.media.image import LazyImage, open_image
from pytest_lmms.media.references import digest
from pytest_lmms.records import MediaRef

READERS = {
    "open_image": lambda path: open_image(MediaRef(kind="image", path=path)),
    "LazyImage.size": lambda path: LazyImage.from_path(path).size,
    "encode_image": encode_image,
    "read_audio": read_audio,
    "encode_audio": lambda path: encode_audio_to_base64(MediaRef(kind="audio", path=path)),
    "digest": lambda path: digest(MediaRef(kind="image", path=path)),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_or_a_device_is_refused_and_not_read_for_ever(reader, tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for path in (str(pipe), "/dev/zero"):
        with pytest.raises(MediaError, match="not a file") as caught:
            READERS[reader](path)
        assert path in str(caught.value)


def test_a_file_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    path.write_bytes(bytes(11))
    monkeypatch.setattr(files, "MAX_BYTES", 11)
    assert read_whole(str(path)) == bytes(11)
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    with pytest.raises(MediaError, match=r"large\.png.*too large: 11 bytes, at most 10"):
        open_image(MediaRef(kind="image", path=str(path)))


def test_a_folder_and_nothing_are_told_as_before(tmp_path):
    with pytest.raises(IsADirectoryError):
        read_whole(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        read_whole(str(tmp_path / "none"))
