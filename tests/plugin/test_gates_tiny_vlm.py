"""A gate on a real model: the tiny one, and what noise on its weights does to it."""

from __future__ import annotations

import json
from pathlib import Path

MME = Path(__file__).resolve().parents[2] / "benchmarks" / "mme"


def test_the_tiny_model_passes_against_itself_and_fails_with_noise(pytester, run, run_folder):
    arguments = [MME, "--rootdir", pytester.path, "-p", "no:cacheprovider"]
    assert run(*arguments, model="tiny_vlm").ret == 0
    gate = ["--lmms-baseline", run_folder(), "--lmms-fail-on-regression"]
    assert run(*arguments, *gate, model="tiny_vlm").ret == 0
    result = run(*arguments, *gate, "--lmms-model-args", "noise=2", model="tiny_vlm")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAIL*mme/mme_perception_score: 1pt and p<0.01 and within 5pt  800 -> *p=0.002, n=8"])
    (verdict,) = json.loads((run_folder() / "results.json").read_text())["gates"]["verdicts"]
    assert len(verdict["turned_worse"]) == 8
