"""Kinds of encoded files, told by how they begin: files that real encoders wrote."""

from __future__ import annotations

import io
import wave

import PIL.Image
import pytest

from pytest_lmms.media.kinds import kind_of_bytes


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_pictures(name):
    file = io.BytesIO()
    PIL.Image.new("RGB", (4, 4)).save(file, name)
    assert kind_of_bytes(file.getvalue()) == "image"


def test_sound():
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16))
    assert kind_of_bytes(file.getvalue()) == "audio"


@pytest.mark.parametrize(
    ("container", "codec", "kind"),
    [("mp4", "mpeg4", "video"), ("matroska", "mpeg4", "video"), ("avi", "mpeg4", "video"), ("flac", "flac", "audio"),
     ("mp3", "mp3", "audio"), ("ogg", "flac", "audio")],
)  # fmt: skip
def test_containers(container, codec, kind):
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        if kind == "video":
            stream = out.add_stream(codec, rate=5)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            frames = [av.VideoFrame(32, 32, "yuv420p") for _ in range(2)]
        else:
            stream = out.add_stream(codec, rate=44100)
            stream.layout = "mono"
            frames = []
            for _ in range(2):
                frame = av.AudioFrame(format=stream.codec_context.format or "s16", layout="mono", samples=1024)
                frame.sample_rate = 44100
                frames.append(frame)
        for frame in frames:
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert kind_of_bytes(file.getvalue()) == kind


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF....ABCD", b"text"])
def test_anything_else_is_not_guessed(data):
    assert kind_of_bytes(data) is None
