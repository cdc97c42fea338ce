"""Damaged videos, to every reader: no crash, no hang, no unbounded memory, and no error but ours.

    python tools/fuzz/media.py --count 5000 --seed 0      # `make fuzz-media`
    python tools/fuzz/media.py --keep DIR                 # where files that broke a rule are kept

A child process reads the files, one after another. If it dies or takes longer than the limit, the file is known, the
child is replaced, and the rest goes on. Exits with 1 when a rule was broken.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
from harness import feed, serve  # noqa: E402

SEEDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "start.mp4": {"container_options": {"movflags": "faststart"}, "sound": True},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=error:keyint=10:open-gop=1"}},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "h264.mkv": {},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "h264.ts": {},
}


def seeds() -> dict[str, bytes]:
    """Whole files, small ones."""
    from tests.made_videos import make_video

    with tempfile.TemporaryDirectory() as folder:
        return {
            name: Path(make_video(Path(folder) / name, num_frames=24, group=8, **options)).read_bytes()
            for name, options in SEEDS.items()
        }


# --- the child ----------------------------------------------------------------------------------------------------


def child(backends: list[str]) -> None:
    """Read files named on standard input, one JSON answer a file."""
    from pytest_lmms.errors import LmmsError
    from pytest_lmms.media.video import open_video
    from pytest_lmms.records import MediaRef

    os.environ["LMMS_VIDEO_CACHE_MB"] = "0"
    os.environ.setdefault("LMMS_VIDEO_PYAV_THREADS", "2")

    def read(name: str) -> dict[str, str]:
        answers = {}
        for backend in backends:
            try:
                found = open_video(MediaRef(kind="video", path=name), num_frames=8, backend=backend)
                answers[backend] = "replaced" if found.num_replaced else "read"
                assert 1 <= len(found) <= 8
                assert found.frames.shape[3] == 3
            except LmmsError as e:
                answers[backend] = "refused"
                if name not in str(e):
                    answers[backend] = f"no path in: {e}"
            except MemoryError:
                answers[backend] = "out of memory"
            except Exception as e:  # noqa: BLE001 - anything that is no error of ours is what is looked for
                answers[backend] = f"{type(e).__name__}: {e}"
        return answers

    serve(read)


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backends", default="pyav")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for one file")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child.split(","))
        return 0
    broken = feed(
        seeds(), [sys.executable, __file__, "--child", given.backends], count=given.count, seed=given.seed,
        limit_seconds=given.limit, keep=given.keep, fine=("read", "replaced", "refused"),
    )  # fmt: skip
    print("\n".join(broken))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
