"""Messages in the words of chat completions, with real pictures, videos and sounds."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import PIL.Image
import pytest
import soundfile

from pytest_lmms.errors import MediaError, UsageError
from pytest_lmms.inference.message_formats import MediaSettings, message_format
from pytest_lmms.media.notes import collecting
from pytest_lmms.records import MediaRef, Message

FPS = 4


def picture(size=(9, 7), name="PNG"):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(buffer, name)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Three seconds at 4 frames a second; frame i has brightness 20 i."""
    import av

    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=FPS)
        stream.width = stream.height = 64
        for i in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * i, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def write(name, *parts, **media):
    (message,) = message_format(name)([Message(role="user", content=parts)], MediaSettings(**media))
    return message["content"]


def opened(part):
    return PIL.Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2])))


def test_text_alone_stays_text_and_parts_keep_their_order():
    assert write("openai", "what?") == "what?"
    parts = write("openai", "a", MediaRef(kind="image", data=picture()), "b")
    assert [part["type"] for part in parts] == ["text", "image_url", "text"]


def test_a_message_without_content_is_an_empty_text():
    assert write("openai") == ""


def test_frames_of_a_video_are_spread_over_it_and_sent_as_jpeg(clip):
    parts = write("openai", MediaRef(kind="video", path=clip), "what?", num_frames=4)
    assert [part["type"] for part in parts] == ["image_url"] * 4 + ["text"]
    frames = [opened(part) for part in parts[:4]]
    assert {frame.format for frame in frames} == {"JPEG"}
    levels = [np.asarray(frame).mean() for frame in frames]
    assert levels == sorted(levels)
    assert levels[0] < 10
    assert levels[-1] > 210


def test_qwen3_vl_says_before_each_frame_when_it_is(clip):
    parts = write("qwen3_vl", MediaRef(kind="video", path=clip), num_frames=4)
    assert [part["type"] for part in parts] == ["text", "image_url"] * 4
    times = [float(re.fullmatch(r"<(\d+\.\d) seconds>", part["text"])[1]) for part in parts[::2]]
    levels = [np.asarray(opened(part)).mean() for part in parts[1::2]]
    assert times == pytest.approx([round(level / 20) / FPS for level in levels], abs=0.06)
    assert times[0] == 0
    assert times[-1] == 2.8  # frame 11 of 4 a second


def test_the_number_and_the_size_of_frames_are_bounded(clip):
    video = MediaRef(kind="video", path=clip)
    assert len(write("openai", video, fps=2.0)) == 6
    assert len(write("openai", video, fps=2.0, max_frames=3)) == 3
    assert len(write("openai", video, num_frames=9, max_frames=2)) == 2
    (frame,) = write("openai", video, num_frames=1, max_pixels=400)
    assert opened(frame).size == (20, 20)


def test_the_longer_side_of_images_and_frames_is_bounded(clip):
    (frame,) = write("openai", MediaRef(kind="video", path=clip), num_frames=1, max_side_px=20)
    assert max(opened(frame).size) == 20
    wide = MediaRef(kind="image", content=PIL.Image.new("RGB", (300, 100)))
    assert opened(write("openai", wide, max_side_px=60)[0]).size == (60, 20)
    assert opened(write("openai", wide, max_side_px=300)[0]).size == (300, 100)


def test_the_variable_for_image_formats_holds_for_frames_too(clip, monkeypatch):
    monkeypatch.setenv("LMMS_IMAGE_ENCODE_FORMAT", "PNG")
    (frame,) = write("openai", MediaRef(kind="video", path=clip), num_frames=1)
    assert opened(frame).format == "PNG"


def test_videos_can_travel_whole_or_as_an_address(clip):
    (part,) = write("openai", MediaRef(kind="video", path=clip), pass_video_url=True)
    head, _, data = part["video_url"]["url"].partition(",")
    assert (part["type"], head) == ("video_url", "data:video/mp4;base64")
    with open(clip, "rb") as file:
        assert base64.b64decode(data) == file.read()
    (part,) = write("openai", MediaRef(kind="video", url="http://h/a.mp4"), pass_video_url=True)
    assert part["video_url"]["url"] == "http://h/a.mp4"
    with pytest.raises(MediaError, match=r"no such|No such|cannot be read"):
        write("openai", MediaRef(kind="video", path=clip + "x"), pass_video_url=True)


def test_sounds_travel_as_input_audio():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(800), 8000, format="WAV")
    (part,) = write("openai", MediaRef(kind="audio", data=buffer.getvalue()))
    assert part["type"] == "input_audio"
    assert part["input_audio"]["format"] == "wav"
    assert base64.b64decode(part["input_audio"]["data"]) == buffer.getvalue()


def test_an_image_above_the_limit_is_made_smaller_and_that_is_told():
    with collecting() as flags:
        (part,) = write("openai", MediaRef(kind="image", data=picture((300, 200))), max_bytes=20_000)
    assert len(base64.b64decode(part["image_url"]["url"].partition(",")[2])) <= 20_000
    assert flags


def test_an_unknown_format_says_what_was_meant():
    with pytest.raises(UsageError, match=r"unknown message format 'qwen3-vl'[\s\S]*did you mean: qwen3_vl"):
        message_format("qwen3-vl")
