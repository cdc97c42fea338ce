"""lmms-eval's own openai model, its videos read by its PyAV reader. Imported in the peer's environment only.

Its openai model reads with decord, whose figures are those of another library; its release notes measured PyAV.
"""

from __future__ import annotations

import base64
import io
import os
import time
from pathlib import Path

import PIL.Image
from lmms_eval.models.model_utils.load_video import read_video
from lmms_eval.models.simple.openai import OpenAICompatible

MAX_SIDE_PX = 512


class ReplayModel(OpenAICompatible):
    """Notes when its reader was at work in the file that REPLAY_READER_SECONDS names."""

    is_simple = True

    def encode_video(self, video_path: str, for_get_frames_num: int) -> list[str]:
        """Return base64 texts of JPEG files, one a frame."""
        begin, cpu = time.perf_counter(), time.process_time()
        frames = read_video(video_path, num_frm=int(for_get_frames_num), backend="pyav")
        with Path(os.environ["REPLAY_READER_SECONDS"]).open("a", encoding="ascii") as file:
            file.write(f"{begin} {time.perf_counter()} {cpu} {time.process_time()}\n")
        texts = []
        for frame in frames:
            picture = PIL.Image.fromarray(frame)
            picture.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=85)
            texts.append(base64.b64encode(buffer.getvalue()).decode())
        return texts


def main() -> None:
    """Run lmms-eval's command line with this model registered as `replay`."""
    from lmms_eval.__main__ import cli_evaluate
    from lmms_eval.models import MODEL_REGISTRY_V2
    from lmms_eval.models.registry_v2 import ModelManifest

    name = f"{Path(__file__).stem}.ReplayModel"
    MODEL_REGISTRY_V2.register_manifest(ModelManifest(model_id="replay", simple_class_path=name))
    cli_evaluate()


if __name__ == "__main__":
    main()
