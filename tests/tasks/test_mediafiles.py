"""Files that rows name: found where archives put them, never outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lmms.tasks.mediafiles import MissingMediaError, find_media, with_extensions


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A benchmark whose miniature has `clip.mp4`, and a media folder with `videos/real.mp4`."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    for name in ("home/clips/videos/real.mp4", "home/secret.mp4", "task/miniature/clip.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return str(tmp_path / "task" / "utils.py")


def test_the_first_place_that_has_the_file_is_taken(beside: str, tmp_path: Path) -> None:
    found = find_media("clips", ["real.mp4", "videos/real.mp4"], beside=beside)
    assert found == str(tmp_path / "home/clips/videos/real.mp4")


def test_a_file_of_the_miniature_is_found_by_its_name(beside: str, tmp_path: Path) -> None:
    assert find_media("clips", "some/folder/clip.mp4", beside=beside) == str(tmp_path / "task/miniature/clip.mp4")


@pytest.mark.parametrize("name", ["../secret.mp4", "videos/../../secret.mp4", "{home}/secret.mp4"])
def test_a_row_cannot_lead_out_of_the_folder(name: str, beside: str, tmp_path: Path) -> None:
    with pytest.raises(MissingMediaError):
        find_media("clips", name.format(home=tmp_path / "home"), beside=beside)


def test_a_link_out_of_the_folder_is_followed_only_when_the_user_says_so(
    beside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside.mp4").touch()
    link = tmp_path / "home/clips/link.mp4"
    link.symlink_to(tmp_path / "outside.mp4")
    with pytest.raises(MissingMediaError, match="LMMS_MEDIA_OUTSIDE_ROOTS=1"):
        find_media("clips", "link.mp4", beside=beside)
    monkeypatch.setenv("LMMS_MEDIA_OUTSIDE_ROOTS", "1")
    assert find_media("clips", "link.mp4", beside=beside) == str(link)


def test_a_missing_file_names_the_place_where_it_should_be(beside: str, tmp_path: Path) -> None:
    with pytest.raises(MissingMediaError, match="HF_HOME") as raised:
        find_media("clips", ["videos/gone.mp4", "gone.mp4"], beside=beside)
    assert raised.value.expected == tmp_path / "home/clips/videos/gone.mp4"


@pytest.mark.parametrize("name", ["", None])
def test_a_row_without_a_name_is_missing_too(name: str | None, beside: str) -> None:
    with pytest.raises(MissingMediaError):
        find_media("clips", [name] if name is None else name, beside=beside)  # type: ignore[list-item]


def test_extensions_are_added_or_exchanged() -> None:
    assert with_extensions("a.b", ["mp4", "mkv"]) == ["a.b.mp4", "a.b.mkv"]
    assert with_extensions("x.MP4", ["mp4", "mkv"]) == ["x.MP4", "x.mp4", "x.mkv"]
