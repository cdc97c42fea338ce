"""Chat messages from what a task's code returns."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pytest_lmms.errors import DocumentError
from pytest_lmms.media.image import LazyImage
from pytest_lmms.records import MediaRef
from pytest_lmms.tasks.messages import auto_messages, kind_of_path, media_ref, to_messages


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.jpg", "image"), ("a.JPEG", "image"), ("dir.mp3/a.png", "image"), ("a.gif", "image"), ("a.TIF", "image"),
        ("a.wav", "audio"), ("a.MP3", "audio"), ("a.opus", "audio"), ("a.m4a", "audio"),
        ("a.mp4", "video"), ("a.webm", "video"), ("a.WEBM", "video"), ("a.mkv", "video"), ("a", "video"),
        ("a.webp", "image"),
        ("https://h.org/a.png?x=b.mp4", "image"), ("https://h.org/a.wav#t=1.5", "audio"),
        ("https://h.org/a.mp4?as=c.png", "video"), ("file:///x/a.Png", "image"),
        ("/data/what?.png", "image"), ("/data/100%#1.png", "image"),
    ],
)  # fmt: skip
def test_the_extension_tells_the_kind(path, kind):
    assert kind_of_path(path) == kind
    assert media_ref(path).kind == kind


def test_addresses_and_paths_are_told_apart():
    assert media_ref("https://h.org/a.png").url == "https://h.org/a.png"
    assert media_ref("file:///x/a.png").path == "/x/a.png"
    assert media_ref(Path("/x/a.png")).path == "/x/a.png"


def test_a_lazy_image_stays_undecoded():
    lazy = LazyImage.from_bytes(b"not even an image")
    assert media_ref(lazy.convert("RGB")) == MediaRef(kind="image", data=b"not even an image", mode="RGB")


def test_kinds_of_objects():
    assert media_ref(PIL.Image.new("RGB", (2, 2))).kind == "image"
    assert media_ref({"array": np.zeros(4), "sampling_rate": 16000}).kind == "audio"
    assert media_ref(np.zeros((3, 2, 2, 3), np.uint8)).kind == "video"
    assert media_ref(np.zeros((2, 2, 3), np.uint8)).kind == "image"
    assert media_ref(b"x", "video") == MediaRef(kind="video", data=b"x")


PNG, WAV, MP4, MKV = (
    b"\x89PNG\r\n\x1a\n....", b"RIFF....WAVEfmt ", b"\0\0\0\x20ftypisom....", b"\x1aE\xdf\xa3....",
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (PNG, MediaRef(kind="image", data=PNG)),
        (bytearray(PNG), MediaRef(kind="image", data=PNG)),
        (memoryview(WAV), MediaRef(kind="audio", data=WAV)),
        ({"bytes": PNG, "path": "x.mp4"}, MediaRef(kind="image", data=PNG)),
        ({"bytes": MP4, "path": None}, MediaRef(kind="video", data=MP4)),
        ({"bytes": WAV, "path": None}, MediaRef(kind="audio", data=WAV)),
        ({"bytes": b"?", "path": "a.webm"}, MediaRef(kind="video", data=b"?")),
        ({"bytes": None, "path": "a.png"}, MediaRef(kind="image", path="a.png")),
        ({"type": "audio", "url": "a.webm"}, MediaRef(kind="audio", path="a.webm")),
        ({"type": "video", "path": "a.gif"}, MediaRef(kind="video", path="a.gif")),
        ({"type": "video", "url": "https://h.org/a"}, MediaRef(kind="video", url="https://h.org/a")),
        (
            {"type": "video", "url": "a.mp4", "video_start": 3, "video_end": 4.5},
            MediaRef(kind="video", path="a.mp4", start_seconds=3.0, end_seconds=4.5),
        ),
        ({"type": "video", "video": "a.mp4", "end_time": 2}, MediaRef(kind="video", path="a.mp4", end_seconds=2.0)),
        ({"type": "image", "image": "a.png"}, MediaRef(kind="image", path="a.png")),
        ("data:image/png;base64,iVBORw==", MediaRef(kind="image", data=b"\x89PNG")),
        ("data:audio/x,a%20b", MediaRef(kind="audio", data=b"a b")),
        ("data:Image/PNG;BASE64,iVBORw==", MediaRef(kind="image", data=b"\x89PNG")),
        ("file:///x/a%2Epng", MediaRef(kind="image", path="/x/a.png")),
        ("file://localhost/x/a.png", MediaRef(kind="image", path="/x/a.png")),
        ("HTTPS://h.org/a.PNG", MediaRef(kind="image", url="HTTPS://h.org/a.PNG")),
        ("file:///x/a%20b.png", MediaRef(kind="image", path="/x/a b.png")),
    ],
)
def test_what_a_value_says_of_itself_wins_over_its_name(value, expected):
    assert media_ref(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"type": "video", "url": "a.mp4", "video_start": 3.0, "video_end": 2.0},
        {"type": "video", "url": "a.mp4", "video_start": -1},
        {"type": "video", "url": "a.mp4", "video_end": "soon"},
        {"type": "image", "url": "a.png", "video_end": 2},
        {"type": "image"},
        {"bytes": b"?", "path": None},
        {"bytes": b"?", "path": "noextension"},
        {"bytes": "text"},
        np.zeros(9),
        "data:text/x,a",
        "data:image/png",
        "data:image/png;base64,iVB",
    ],
)
def test_what_would_be_mistaken_is_refused(value):
    with pytest.raises(DocumentError):
        media_ref(value)


@pytest.mark.parametrize("value", [3, object(), b"bytes of no kind"])
def test_anything_else_is_refused(value):
    with pytest.raises(DocumentError, match="a visual is a"):
        media_ref(value)


def test_media_come_first_and_then_the_text():
    (message,) = auto_messages(["a.png", None, "b.wav"], "What?")
    assert message.role == "user"
    assert [p if isinstance(p, str) else p.kind for p in message.content] == ["image", "audio", "What?"]


def test_content_may_be_text_or_parts_and_keeps_its_order():
    messages = to_messages(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image", "url": "a.unknown"},
                {"type": "text", "text": "?"},
            ]},
        ]
    )  # fmt: skip
    assert [m.role for m in messages] == ["system", "user"]
    assert messages[0].content == ("Be brief.",)
    assert messages[1].content == ("Look:", MediaRef(kind="image", path="a.unknown"), "?")


def test_objects_with_the_same_attributes_do_as_well():
    part = types.SimpleNamespace(type="text", text="hi")
    message = types.SimpleNamespace(role="user", content=[part])
    assert to_messages(types.SimpleNamespace(messages=[message]))[0].content == ("hi",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "returned a str"),
        ({"role": "user"}, "returned a dict"),
        ([{"role": "tool", "content": "x"}], "message 0: role is 'tool'"),
        ([{"role": "user", "content": "x"}, {"role": "user"}], "message 1: content is a NoneType"),
        ([{"role": "user", "content": [{"type": "image"}]}], "message 0: part"),
        ([{"role": "user", "content": [{"type": "picture", "url": "x"}]}], "message 0: part"),
        ([{"role": "user", "content": ["bare text"]}], "message 0: part"),
    ],
)
def test_other_shapes_are_errors_that_say_where(value, expected):
    with pytest.raises(DocumentError, match=expected):
        to_messages(value)


def test_a_message_may_show_a_part_of_a_video():
    part = {"type": "video", "url": "a.mp4", "start_time": 1, "end_time": 2}
    (message,) = to_messages([{"role": "user", "content": [part]}])
    assert message.content == (MediaRef(kind="video", path="a.mp4", start_seconds=1.0, end_seconds=2.0),)
