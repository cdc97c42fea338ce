from __future__ import annotations

import sys

import pytest
from PIL import Image

from pytest_lmms.errors import MediaError, UsageError
from pytest_lmms.media.pdf import render_page


@pytest.fixture
def pdf(tmp_path):
    """Two pages of 1 x 2 inches: red, then blue."""
    pages = [Image.new("RGB", (72, 144), colour) for colour in ("red", "blue")]
    path = tmp_path / "two_pages.pdf"
    pages[0].save(path, save_all=True, append_images=pages[1:], resolution=72)
    return path


def test_a_page_is_drawn_at_the_resolution_asked_for(pdf):
    pytest.importorskip("pypdfium2")
    page = render_page(pdf, 2, dots_per_inch=36)
    assert page.size == (36, 72)
    red, _, blue = page.getpixel((18, 36))
    assert blue > 200
    assert red < 50


def test_a_missing_page_or_file_is_named(pdf, tmp_path):
    pytest.importorskip("pypdfium2")
    with pytest.raises(MediaError, match=r"no page 3[\s\S]*expected: 1 to 2"):
        render_page(pdf, 3)
    with pytest.raises(MediaError, match=r"nothing\.pdf"):
        render_page(tmp_path / "nothing.pdf", 1)


def test_without_the_library_the_error_says_what_to_install(pdf, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(UsageError, match=r"pytest-lmms\[pdf\]"):
        render_page(pdf, 1)
