"""CI fails on a test that was skipped for a reason nobody agreed to, a test's or a whole module's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CI = Path(__file__).parents[2] / ".ci"

SKIPS = {
    "of a test": "import pytest\n\ndef test_it():\n    pytest.skip({reason!r})\n",
    "of a module": "import pytest\n\npytest.importorskip('no_such_module', reason={reason!r})\n",
}


def check(folder, module):
    (folder / "test_it.py").write_text(module)
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", str(folder)]
    subprocess.run(command, cwd=folder, check=False, capture_output=True)
    checker = [sys.executable, str(CI / "check_skips.py"), str(report)]
    return subprocess.run(checker, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("skip", SKIPS)
def test_an_agreed_reason_passes(tmp_path, skip):
    agreed = check(tmp_path, SKIPS[skip].format(reason="SGLang is not installed"))
    assert (agreed.returncode, agreed.stdout) == (0, "")


@pytest.mark.parametrize("skip", SKIPS)
def test_another_reason_fails_and_is_told(tmp_path, skip):
    refused = check(tmp_path, SKIPS[skip].format(reason="it's the wrong day"))
    assert refused.returncode == 1
    assert "it's the wrong day" in refused.stdout
