"""The benchmark of videos covers what it promises, and goes on where it was interrupted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from tools.bench import media  # isort: skip - it puts the folder of the next on the path

import media_files
import media_table


def asked(**given):
    return media.cells(**{"quick": False, "everything": False, **given})


def test_the_chosen_groups_hold_every_codec_sampling_and_number_of_threads_and_dense_minutes():
    cells = asked()
    assert {codec for codec in media_files.ENCODERS if any(f"_{codec}" in name for name, _, _ in cells)} == set(
        media_files.ENCODERS
    )
    assert {sampling for _, sampling, _ in cells} == set(media_files.SAMPLINGS)
    assert {t for _, _, threads in cells for t in threads} == set(media_files.THREADS)
    dense = {media_files.FILES[name][1] for name, sampling, _ in cells if sampling == "fps=30"}
    assert dense == {10, 120, 600}
    assert len(cells) == len(media_files.CHOSEN)


def test_more_groups_hold_every_file():
    cells = asked(more=True)
    assert {name for name, _, _ in cells} == set(media_files.FILES)
    assert len(cells) == len(media_files.EVERY_FILE)


def test_everything_holds_each_codec_with_each_height_length_and_sampling():
    cells = asked(everything=True)
    for name in media_files.FILES:
        samplings = {sampling for file, sampling, threads in cells if file == name and threads == media_files.THREADS}
        assert samplings >= {"8 frames", "16 frames", "32 frames", "fps=1"}
    for codec in ("h264", "hevc", "vp9", "av1"):
        for length in ("short", "minute"):
            heights = {file.split("_")[1] for file, _, _ in cells if file.startswith(length) and f"_{codec}." in file}
            assert heights == {"360p", "720p", "1080p"}
        assert any(f"_{codec}." in file and sampling == "fps=30" for file, sampling, _ in cells)


def test_a_piece_is_a_file_or_one_sampling_of_it_and_may_be_among_those_not_chosen():
    assert len(asked(only=["minute_1080p_hevc.mp4"], more=True)) == 1
    assert asked(only=["short_720p_av1.mp4:32 frames"]) == [("short_720p_av1.mp4", "32 frames", (8,))]


def test_frames_that_do_not_fit_into_memory_are_left_out_of_the_whole_matrix():
    dense = {name for name, sampling, _ in asked(everything=True) if sampling == "fps=30"}
    assert "short_1080p_h264.mp4" in dense
    assert "minute_1080p_h264.mp4" not in dense


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg makes the files")
def test_a_piece_is_measured_and_the_last_table_has_the_ratio_to_what_the_plan_needs(tmp_path):
    command = [sys.executable, media.__file__, "--folder", str(tmp_path), "--rounds", "1", "--backends", "pyav"]
    command += ["--only", "short_360p_h264.mp4:32 frames"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    last = done.stdout.splitlines()[-1].split("|")
    assert [column.strip() for column in last[1:3]] == ["360p, 10 s, 156", "32 frames"]
    ours, plan, ratio = (float(last[i]) for i in (3, 7, 9))
    assert ratio == pytest.approx(ours / plan, abs=0.05, rel=0.05)
    rows = json.loads((tmp_path / "results.jsonl").read_text())["rows"]
    digests = {row["all"] for row in rows if row["median"]}
    assert len(digests) == 1, "other pixels than those of a plain loop"


def test_a_line_that_was_cut_off_is_measured_again_and_the_last_of_a_title_counts(tmp_path):
    results = tmp_path / "results.jsonl"
    assert media.measured(results) == {}
    lines = [{"title": "a", "num_rounds": 1}, {"title": "b", "num_rounds": 1}, {"title": "a", "num_rounds": 3}]
    results.write_text("\n".join(map(json.dumps, lines)) + '\n{"title": "c", "num_')
    assert {t: g["num_rounds"] for t, g in media.measured(results).items()} == {"a": 3, "b": 1}


def test_the_table_is_printed_from_what_was_measured(tmp_path):
    same = {"shape": [8, 4, 4, 3], "all": "x", "first": "x"}
    rows = [{"reader": "pyav", "median": 0.01, **same}]
    group = {"title": "a.mp4: 8 frames", "machine": "here", "num_rounds": 3, "readers": ["pyav"], "rows": rows}
    (tmp_path / "results.jsonl").write_text(json.dumps(group) + "\n")
    command = [sys.executable, media.__file__, "--folder", str(tmp_path), "--table"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "a.mp4: 8 frames (here, medians of 3)" in shown
    assert "| pyav | 10.0 | 10.0 | 1.00 x | same |" in shown


def test_a_reader_that_gives_other_frames_is_not_the_better_one(capsys):
    same = {"shape": [8, 4, 4, 3], "all": "x", "first": "x"}
    rows = [
        {"reader": "lmms-eval pyav", "median": 0.001, **same, "all": "y", "shape": [1800, 4, 4, 3]},
        {
            "reader": "lmms-eval torchcodec, 8 threads",
            "median": 0.04,
            "rounds": [0.03, 0.04, 0.05],
            "cpu_rounds": [0.06, 0.07],
            **same,
        },
        {"reader": "lmms-eval torchcodec, 1 threads", "median": 0.035, **same},
        {"reader": "pyav", "median": 0.02, "cpu_rounds": [0.01], **same},
        {"reader": "torchcodec, 2 threads", "median": 0.031, **same},
        {"reader": "torchcodec, 8 threads", "median": 0.033, **same},
        {"reader": media_table.PLAN, "median": 0.025, **same},
    ]
    media_table.summarise([("VP9 | 8 frames", rows)])
    expected = "| VP9 | 8 frames | 20 | 1 (1800 frames) | 40 | 31 (2) | 25 | 2.00 x | 0.80 |"
    assert capsys.readouterr().out.splitlines()[-1] == expected
    media_table.summarise([("VP9 | 8 frames", rows)], figure="least")
    assert "| 30 | 31 (2) | 25 | 1.50 x | 0.80 |" in capsys.readouterr().out
    media_table.summarise([("VP9 | 8 frames", rows)], figure="cpu")
    assert "| 10 | 1 (1800 frames) | 60 | 31 (2) | 25 | 6.00 x | 0.40 |" in capsys.readouterr().out
