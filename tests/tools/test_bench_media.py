"""The benchmark of videos covers what it promises, and goes on where it was interrupted."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from tools.bench import media


def asked(**given):
    return argparse.Namespace(**{"quick": False, "all": False, "only": None, **given})


def test_the_chosen_groups_hold_every_file_sampling_and_number_of_threads():
    cells = media.matrix(asked())
    assert {name for name, _, _ in cells} == set(media.FILES)
    assert {sampling for _, sampling, _ in cells} == set(media.SAMPLINGS)
    assert {t for _, _, threads in cells for t in threads} == set(media.THREADS)
    assert len(cells) == len(media.CHOSEN)


def test_a_piece_is_a_file_or_one_sampling_of_it():
    assert len(media.matrix(asked(only=["minute_1080p.mp4"]))) == 2
    assert media.matrix(asked(only=["minute_1080p.mp4:8 frames"])) == [("minute_1080p.mp4", "8 frames", (8,))]


def test_frames_that_do_not_fit_into_memory_are_left_out_of_the_whole_matrix():
    dense = {name for name, sampling, _ in media.matrix(asked(all=True)) if sampling == "fps=30"}
    assert "short_360p.mp4" in dense
    assert "minute_1080p.mp4" not in dense


def test_a_line_that_was_cut_off_is_measured_again_and_the_last_of_a_title_counts(tmp_path):
    results = tmp_path / "results.jsonl"
    assert media.measured(results) == {}
    lines = [{"title": "a", "num_rounds": 1}, {"title": "b", "num_rounds": 1}, {"title": "a", "num_rounds": 3}]
    results.write_text("\n".join(map(json.dumps, lines)) + '\n{"title": "c", "num_')
    assert {t: g["num_rounds"] for t, g in media.measured(results).items()} == {"a": 3, "b": 1}


def test_the_table_is_printed_from_what_was_measured(tmp_path):
    rows = [{"reader": "pyav", "median": 0.01, "shape": [8, 4, 4, 3], "all": "x", "first": "x"}]
    group = {"title": "a.mp4: 8 frames", "machine": "here", "num_rounds": 3, "readers": ["pyav"], "rows": rows}
    (tmp_path / "results.jsonl").write_text(json.dumps(group) + "\n")
    command = [sys.executable, media.__file__, "--folder", str(tmp_path), "--table"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "a.mp4: 8 frames (here, medians of 3)" in shown
    assert "| pyav | 10.0 | 1.00 x | same |" in shown
