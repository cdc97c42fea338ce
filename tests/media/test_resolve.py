"""A row's reference is found below the roots that the task and the user know, and nowhere else."""

from __future__ import annotations

import os

import pytest

from pytest_lmms.errors import MediaError
from pytest_lmms.media import resolve
from pytest_lmms.media.resolve import hf_home, resolve_media_reference


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("LMMS_EVAL_MEDIA_ROOT", "LMMS_MEDIA_OUTSIDE_ROOTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "home"


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return str(path)


@pytest.mark.parametrize(
    ("stored", "reference", "kind"),
    [
        ("clip.mp4", "clip.mp4", "video"),
        ("tasks/clip.mp4", "clip.mp4", "video"),
        ("tasks/a/clip.mp4", "a/clip.mp4", "video"),
        ("tasks/clip.mp4", "train/a/clip.mp4", "video"),
        ("tasks/clip.mp4", "/home/author/clip.mp4", "video"),
        ("tasks/home/author/clip.mp4", "/home/author/clip.mp4", "video"),
        ("tasks/videos/clip.mkv", "clip", "video"),
        ("tasks/clips/clip.WEBM", "clip", "video"),
        ("datasets/tasks/video/clip.mp4", "clip.MP4", "video"),
        ("tasks/video/clip.MP4", " clip.mp4 ", "video"),
        ("tasks/audios/word.flac", "word", "audio"),
        ("datasets/tasks/audio/word.wav", "sub/word.wav", "audio"),
        ("tasks/extra/clip.mp4", "clip", "video"),
        ("tasks/images/scene.png", "scene", "image"),
    ],
)
def test_the_places_that_a_file_may_lie_in(home, stored, reference, kind):
    path = put(home / stored)
    assert resolve_media_reference(reference, kind, cache_dir="tasks", extra_subdirs=("extra",)) == path


def test_the_order_is_the_tasks_variables_then_the_users_root_then_home(home, tmp_path, monkeypatch):
    monkeypatch.setenv("MINE", str(tmp_path / "mine"))
    monkeypatch.setenv("LMMS_EVAL_MEDIA_ROOT", str(tmp_path / "root"))

    def found():
        return resolve_media_reference("a.mp4", cache_dir="tasks", env_vars=("UNSET", "MINE"))

    for folder in (home / "datasets/tasks", home / "tasks", home, tmp_path / "root", tmp_path / "mine"):
        path = put(folder / "a.mp4")
        assert found() == path


@pytest.mark.parametrize("value", [None, 3, b"a", "", "  ", "http://a/b.mp4", "HTTPS://a/b", "nowhere.mp4", "a\0b"])
def test_what_cannot_be_found_comes_back_as_it_is(value):
    assert resolve_media_reference(value, cache_dir="tasks") == value


def test_a_file_that_arrives_later_is_found_without_more_arithmetic(home):
    assert resolve_media_reference("late", cache_dir="tasks") == "late"
    before = resolve._names.cache_info().misses, resolve._candidate_roots.cache_info().misses
    path = put(home / "tasks" / "late.mp4")
    assert resolve_media_reference("late", cache_dir="tasks") == path
    assert (resolve._names.cache_info().misses, resolve._candidate_roots.cache_info().misses) == before
    os.remove(path)
    assert resolve_media_reference("late", cache_dir="tasks") == "late"


def outside_error(reference):
    with pytest.raises(MediaError) as caught:
        resolve_media_reference(reference, cache_dir="tasks")
    assert "LMMS_MEDIA_OUTSIDE_ROOTS=1" in str(caught.value)
    return str(caught.value)


def test_nothing_outside_the_roots_is_given_unless_the_user_says_so(home, tmp_path, monkeypatch):
    secret = put(tmp_path / "secret.mp4")
    put(home / "tasks" / "other.mp4")
    (home / "tasks" / "link.mp4").symlink_to(secret)
    (home / "tasks" / "folder").symlink_to(tmp_path)
    references = [secret, "../../secret.mp4", "../secret.mp4", "link.mp4", "link", "folder/secret.mp4",
                  "a/../../../secret.mp4"]  # fmt: skip
    put(home / "tasks" / "a" / "b.mp4")
    for reference in references:
        assert secret in outside_error(reference)
    monkeypatch.setenv("LMMS_MEDIA_OUTSIDE_ROOTS", "1")
    for reference in references:
        assert os.path.samefile(resolve_media_reference(reference, cache_dir="tasks"), secret)


def test_a_name_outside_gives_way_to_the_same_name_inside(home, tmp_path):
    put(tmp_path / "clip.mp4")
    path = put(home / "tasks" / "clip.mp4")
    assert resolve_media_reference(str(tmp_path / "clip.mp4"), cache_dir="tasks") == path


def test_a_root_that_is_a_link_and_links_within_a_root_are_followed(home, tmp_path, monkeypatch):
    blob = put(home / "hub" / "blobs" / "0123")
    (home / "tasks").mkdir()
    (home / "tasks" / "a.mp4").symlink_to(blob)
    assert resolve_media_reference("a.mp4", cache_dir="tasks") == str(home / "tasks" / "a.mp4")
    put(tmp_path / "disk" / "b.mp4")
    (tmp_path / "linked").symlink_to(tmp_path / "disk")
    monkeypatch.setenv("LMMS_EVAL_MEDIA_ROOT", str(tmp_path / "linked"))
    assert resolve_media_reference("b") == str(tmp_path / "linked" / "b.mp4")


def test_home_is_where_hugging_face_says(monkeypatch):
    monkeypatch.setenv("HF_HOME", "~/here")
    assert hf_home() == os.path.expanduser("~/here")
    monkeypatch.delenv("HF_HOME")
    assert hf_home() == os.path.expanduser("~/.cache/huggingface")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert hf_home() == "/cache/huggingface"
