"""Downloaded videos become the Lance dataset that MINERVA reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_lmms import catalog
from pytest_lmms.media.lance_blob import LanceBlob

_lance = pytest.importorskip("pytest_lmms.media._lance", exc_type=ImportError)
TOOL = Path(__file__).parents[2] / "tools" / "minerva_to_lance.py"


@pytest.fixture
def convert(tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "b.WEBM", "other.mp4"):
        (tmp_path / "videos" / name).write_bytes(name.encode() * 1000)
    rows = [{"video_id": v, "question": "Why?"} for v in ("b", "a", "a")]
    (tmp_path / "minerva.json").write_text(json.dumps(rows))
    tool = catalog.import_file(TOOL)

    def run(*words, metadata="minerva.json"):
        """Exit code, and what was printed."""
        places = {"--metadata-json": metadata, "--videos-dir": "videos", "--output": "out.lance"}
        code = tool.main([*(w for k, v in places.items() for w in (k, str(tmp_path / v))), *words])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def test_each_video_is_one_row_under_its_name(convert, tmp_path):
    code, said = convert("--batch-size", "1")
    assert code == 0, said
    assert "out.lance: 2 videos, 11,000 bytes" in said
    one = LanceBlob(uri=str(tmp_path / "out.lance"), key="b")
    assert (one.read(), one.extension) == (b"b.WEBM" * 1000, "webm")
    table = one.table()
    assert list(table.names) == ["b", "a"]
    assert table.column("youtube_url")[0] == "https://www.youtube.com/watch?v=b"
    assert table.column("video_size_bytes") == [6000, 5000]


def test_nothing_is_overwritten_unasked_and_what_lacks_is_told(convert, tmp_path):
    assert convert()[0] == 0
    code, said = convert()
    assert (code, "already exists" in said) == (2, True)
    (tmp_path / "videos" / "b.WEBM").unlink()
    code, said = convert("--mode", "overwrite")
    assert (code, "1 missing: b" in said) == (1, True)
    assert convert("--mode", "overwrite", "--allow-missing")[0] == 0


def test_metadata_of_another_kind_is_refused(convert, tmp_path):
    (tmp_path / "other.json").write_text('{"rows": []}')
    code, said = convert(metadata="other.json")
    assert (code, "not MINERVA's metadata" in said) == (2, True)
