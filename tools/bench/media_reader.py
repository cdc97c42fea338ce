"""One reader of videos, as a process: reads orders from standard input and answers them, one JSON line each.

    python tools/bench/media_reader.py ours|lmms-eval|plan

`ours` is `pytest_lmms.media.video`; `lmms-eval` is the reader of the lmms-eval that this Python has; `plan` decodes,
with a plain PyAV loop, just the packets that our plan names.

An order has `path`, `num_frames`, `fps` (or null), `backend`, `threads`; the answer has `seconds`, `cpu_seconds` (of
this process), `shape`, `first` and `all` (digests of the first frame and of all), or `error`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

THREAD_VARIABLES = {
    "pyav": "LMMS_VIDEO_PYAV_THREADS",
    "torchcodec": "LMMS_VIDEO_TORCHCODEC_THREADS",
    "decord": "LMMS_VIDEO_DECORD_THREADS",
}
LIBRARIES = {"pyav": "av", "torchcodec": "torchcodec.decoders", "decord": "decord"}
"""What is imported before the clock starts: seconds, on a busy machine."""


def ours() -> Callable[[dict[str, Any]], Any]:
    """Our reader, keeping nothing between calls."""
    from pytest_lmms.media.video import open_video
    from pytest_lmms.records import MediaRef

    os.environ["LMMS_VIDEO_CACHE_MB"] = "0"

    def read(order: dict[str, Any]) -> Any:
        ref = MediaRef(kind="video", path=order["path"])
        return open_video(ref, num_frames=order["num_frames"], fps=order["fps"], backend=order["backend"]).frames

    return read


def lmms_eval() -> Callable[[dict[str, Any]], Any]:
    """Load lmms-eval's reader, without the rest of the package."""
    package = importlib.util.find_spec("lmms_eval")
    folder = next(iter(package.submodule_search_locations))
    spec = importlib.util.spec_from_file_location("their_reader", f"{folder}/models/model_utils/load_video.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def read(order: dict[str, Any]) -> Any:
        return module.read_video(order["path"], num_frm=order["num_frames"], fps=order["fps"], backend=order["backend"])

    return read


def plan() -> Callable[[dict[str, Any]], Any]:
    """Decode what our plan names, in order, with PyAV's own frame threads and nothing else."""
    import av
    import numpy as np

    from pytest_lmms.media._packets import INDEXED_FORMATS, IndexedPackets, ScannedPackets
    from pytest_lmms.media.decodeplan import plan as make_plan
    from pytest_lmms.media.sampling import Sampling, frame_indices

    def read(order: dict[str, Any]) -> Any:
        with av.open(order["path"]) as container:
            stream = container.streams.video[0]
            indexed = set(container.format.name.split(",")) & INDEXED_FORMATS
            packets = (IndexedPackets if indexed else ScannedPackets)(container, stream)
            sampling = Sampling(num_frames=order["num_frames"], fps=order["fps"])
            indices = frame_indices(packets.total, float(stream.average_rate), sampling)
            context = stream.codec_context
            context.thread_type = "AUTO"
            found: list[Any] = []
            for segment in make_plan(indices.tolist(), packets.group_of, max_packets=packets.total):
                taken = list(packets.read(segment.start, segment.needed))
                shown = sorted(p.pts for p in taken)
                wanted = {shown[w - segment.start] for w in segment.wanted}
                last = max(wanted)
                for packet in [*taken, None]:
                    frames = context.decode(packet)
                    found += [f.to_ndarray(format="rgb24") for f in frames if f.pts in wanted]
                    if frames and frames[-1].pts >= last:
                        break
                context.flush_buffers()
            return np.stack(found)

    return read


def main() -> None:
    """Answer orders until there are no more."""
    read = {"ours": ours, "lmms-eval": lmms_eval, "plan": plan}[sys.argv[1]]()
    for line in sys.stdin:
        order = json.loads(line)
        variable = THREAD_VARIABLES.get(order["backend"])
        if variable and order["threads"] is not None:
            os.environ[variable] = str(order["threads"])
        with contextlib.suppress(ImportError, RuntimeError, OSError):  # the reader says what is wrong
            importlib.import_module(LIBRARIES[order["backend"]])
        start, cpu = time.perf_counter(), time.process_time()
        try:
            frames = read(order)
        except Exception as e:  # noqa: BLE001 - whatever a reader throws is its answer
            print(json.dumps({"error": f"{type(e).__name__}: {e}".split("\n")[0]}), flush=True)
            continue
        seconds = time.perf_counter() - start
        answer = {
            "seconds": seconds,
            "cpu_seconds": time.process_time() - cpu,
            "shape": list(frames.shape),
            "first": hashlib.blake2b(frames[0].tobytes(), digest_size=8).hexdigest(),
            "all": hashlib.blake2b(frames.tobytes(), digest_size=8).hexdigest(),
        }
        del frames
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
