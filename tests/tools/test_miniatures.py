"""The tools that draw the miniatures still make the ones that are committed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("tool", "benchmark"),
    [
        ("make.py", "chartqa"),
        ("make.py", "mmstar"),
        ("video_audio_text.py", "gsm8k"),
        ("video_audio_text.py", "mmlu"),
        ("video_audio_text.py", "mmlu_pro"),
        ("make.py", "muirbench"),
    ],
)
def test_a_committed_miniature_is_what_its_tool_makes(tool: str, benchmark: str, tmp_path: Path) -> None:
    committed = ROOT / "benchmarks" / benchmark
    shutil.copytree(ROOT / "tools" / "miniatures", tmp_path / "tools" / "miniatures")
    shutil.copytree(ROOT / "tests" / "parity" / "data", tmp_path / "tests" / "parity" / "data")
    shutil.copytree(committed, tmp_path / "benchmarks" / benchmark, ignore=shutil.ignore_patterns("miniature"))

    subprocess.run([sys.executable, f"tools/miniatures/{tool}", benchmark], cwd=tmp_path, check=True, timeout=120)

    made = tmp_path / "benchmarks" / benchmark / "miniature"
    assert {p.name: p.read_bytes() for p in made.iterdir()} == {
        p.name: p.read_bytes() for p in (committed / "miniature").iterdir()
    }
