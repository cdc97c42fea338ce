"""Pictures, sounds and exact messages of a run's documents: each rendered again from its task, when it is looked at."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmms import catalog
from pytest_lmms.errors import MediaError, TaskError, explain
from pytest_lmms.records import MediaRef
from pytest_lmms.registry import MODELS
from pytest_lmms.results.runs import StoredRun

if TYPE_CHECKING:
    import PIL.Image

    from pytest_lmms.tasks.render import Task
    from pytest_lmms.tasks.rows import DataChoice, Rows

THUMBNAIL_PX = 200
LARGE_PX = 1280
NUM_FRAMES = 4
"""Frames of a video that are shown side by side."""
FILM_BYTES = 64 << 20
"""Of a video that is sent as it is; of a larger one the page shows the frames."""
_PLAYED = {"mp4": "video/mp4", "mkv": "video/webm"}
"""By how the file begins: WebM is Matroska, and a browser that cannot play another Matroska keeps the frames."""
SOUND_SECONDS = 60
SOUND_RATE = 16_000


class Documents:
    """The documents of one run, from the tasks and the data that it was made with."""

    def __init__(self, run: StoredRun, *, no_code_below: Path | None = None) -> None:
        """Open nothing yet.

        Args:
            run: Whose documents.
            no_code_below: A folder that may be a stranger's: tasks in it are not loaded, as that runs their code.
        """
        self._run = run
        self._no_code_below = no_code_below
        self._tasks: dict[str, tuple[Task, Rows]] = {}
        self._lock = threading.Lock()

    def messages(self, task: str, doc_id: int) -> list[dict[str, Any]]:
        """The messages of a document's first request.

        Returns:
            Each: `role`, and `parts`, each a `text`, or a `kind` with the `place` that `medium` takes; with `film`
            where `film` is worth a try.

        Raises:
            LmmsError: The task or its data cannot be opened, or the document cannot be rendered.
        """
        found, place = [], 0
        for message in self._request(task, doc_id).messages:
            parts: list[dict[str, Any]] = []
            for part in message.content:
                if isinstance(part, str):
                    parts.append({"text": part})
                else:
                    parts.append({"kind": part.kind, "place": place, **({"film": True} if may_play(part) else {})})
                    place += 1
            found.append({"role": message.role, "parts": parts})
        return found

    def medium(self, task: str, doc_id: int, place: int, *, side_px: int = LARGE_PX) -> tuple[str, bytes]:
        """One medium as a browser shows it: an image, four frames of a video beside each other, or a WAV.

        Args:
            task: Of the run.
            doc_id: Of the task.
            place: Of the medium, from 0.
            side_px: The longer side of an image, at most.

        Returns:
            Mime type and bytes.

        Raises:
            LmmsError: There is no such medium, or it cannot be read.
        """
        return shown(self._medium(task, doc_id, place), side_px)

    def film(self, task: str, doc_id: int, place: int) -> tuple[str, bytes]:
        """A video's own file, for a browser that plays it.

        Args:
            task: Of the run.
            doc_id: Of the task.
            place: Of the medium, from 0.

        Returns:
            Mime type and bytes.

        Raises:
            LmmsError: It is no video, larger than `FILM_BYTES`, or of a kind that browsers do not play.
        """
        return played(self._medium(task, doc_id, place))

    def _medium(self, task: str, doc_id: int, place: int) -> MediaRef:
        media = self._request(task, doc_id).media
        if not 0 <= place < len(media):
            raise TaskError(explain(f"no medium {place}", where=f"{task}[{doc_id}]", expected=f"0 to {len(media) - 1}"))
        found: MediaRef = media[place]
        return found

    def _request(self, task: str, doc_id: int) -> Any:
        opened, rows = self._open(task)
        return opened.render(rows, doc_id).requests[0]

    def _open(self, name: str) -> tuple[Task, Rows]:
        from pytest_lmms.tasks.load import load_from

        with self._lock:
            if name not in self._tasks:
                settings = (self._run.results.get("config") or {}).get("resolved_cli_args") or {}
                data: DataChoice = "mini" if settings.get("data") == "mini" else "full"
                task = load_from(self._task_file(name), name).bind(**_bound_by(settings)).with_examples(data)
                self._tasks[name] = task, task.open_rows(data)
            return self._tasks[name]

    def _task_file(self, name: str) -> Path:
        """The YAML that the run's node ids name."""
        node = str((self._run.results.get("node_ids") or {}).get(name, ""))
        file = node.partition("::")[0]
        if file.startswith("lmms/"):
            benchmarks = catalog.folder("benchmarks")
            places = [benchmarks / file.removeprefix("lmms/")]
            places = [p for p in places if p.resolve().is_relative_to(benchmarks.resolve())]
        else:
            places = [Path(folder) / file for folder in _started_in(self._run)] if file else []
        found = next((p for p in places if p.is_file()), None)
        if found is None:
            expected = " or ".join(map(str, places)) or None
            raise TaskError(explain("its task is not on this machine", where=node or name, expected=expected))
        if self._no_code_below is not None and found.resolve().is_relative_to(self._no_code_below):
            what = "its task lies among the runs, where its code may be a stranger's: it is not loaded"
            remedy = "show the folder of the runs alone: pytest-lmms view results"
            raise TaskError(explain(what, where=str(found), remedy=remedy))
        return found


def _started_in(run: StoredRun) -> list[str]:
    """Folders that node ids of a run are relative to: pytest's root, and, for older runs, where it was started.

    A relative one would be found from wherever the viewer was started.
    """
    import json

    from pytest_lmms.media.files import check_regular

    file = run.path.parent / "run.json"
    try:
        check_regular(str(file))
        plan = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    said = [plan.get(k) for k in ("rootdir", "cwd")] if isinstance(plan, dict) else []
    return [folder for folder in said if isinstance(folder, str) and os.path.isabs(folder)]


def _bound_by(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What of a run's settings changes what its documents ask; a run of lmms-eval may say it otherwise, or not."""
    typed = {
        "generation_overrides": (settings.get("gen_kwargs"), Mapping),
        "seed": (settings.get("seed"), int),
        "system_instruction": (settings.get("system_instruction"), str),
        "fewshot_override": (settings.get("num_fewshot"), int),
        "fewshot_as_turns": (settings.get("fewshot_as_multiturn"), bool),
    }
    known = {name: value for name, (value, kind) in typed.items() if isinstance(value, kind)}
    return {**known, "model_names": _model_names(settings.get("model"))}


def _model_names(name: str | None) -> tuple[str, ...]:
    if name is None or name not in MODELS:
        return ()
    canonical = MODELS.canonical(name)
    return (canonical, *MODELS.aliases(canonical))


# --- for a browser ------------------------------------------------------------------------------------------------


def shown(ref: MediaRef, side_px: int) -> tuple[str, bytes]:
    """A medium as a browser shows it.

    Raises:
        MediaError: It cannot be read.
    """
    from pytest_lmms.media.image import open_image

    if ref.kind == "image":
        return "image/webp", _webp(open_image(ref), side_px)
    if ref.kind == "video":
        return "image/webp", _webp(_frames(ref), side_px)
    return "audio/wav", _wav(ref)


def may_play(ref: MediaRef) -> bool:
    """Whether a browser may be able to play a video's file; nothing is opened."""
    if ref.kind != "video":
        return False
    return ref.path.lower().endswith((".mp4", ".m4v", ".mov", ".webm")) if ref.path else ref.data is not None


def played(ref: MediaRef) -> tuple[str, bytes]:
    """A video's own file.

    Raises:
        MediaError: It is none that a browser plays, or too large, or cannot be read.
    """
    from pytest_lmms.media.files import check_regular, read_whole
    from pytest_lmms.media.kinds import extension_of
    from pytest_lmms.media.lance_blob import loaded

    ref = loaded(ref)
    where = ref.path or ref.kind
    try:
        size = check_regular(ref.path) if ref.path is not None else len(ref.data or b"")
        content = (read_whole(ref.path) if ref.path is not None else ref.data) if 0 < size <= FILM_BYTES else None
    except OSError as error:
        raise MediaError(explain(f"cannot be read: {error.strerror}", where=where)) from error
    mime = _PLAYED.get(extension_of(content[:16]) or "") if content and ref.kind == "video" else None
    if content is None or mime is None:
        expected = f"a file of at most {FILM_BYTES >> 20} MB, MP4 or WebM"
        raise MediaError(explain("no video that a browser plays", where=where, expected=expected))
    return mime, content


def _webp(image: PIL.Image.Image, side_px: int) -> bytes:
    image = image.convert("RGBA" if "A" in image.getbands() else "RGB")
    image.thumbnail((side_px, side_px))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=70 if side_px <= THUMBNAIL_PX else 85, method=2)
    return file.getvalue()


def _frames(ref: MediaRef) -> PIL.Image.Image:
    import PIL.Image

    from pytest_lmms.media.video import open_video

    found = open_video(ref, num_frames=NUM_FRAMES, max_side_px=LARGE_PX // NUM_FRAMES, leaves_no_trace=True)
    frames = [PIL.Image.fromarray(f) for f in found.frames]
    width, height = sum(f.width for f in frames), max(f.height for f in frames)
    strip = PIL.Image.new("RGB", (width, height))
    left = 0
    for frame in frames:
        strip.paste(frame, (left, 0))
        left += frame.width
    return strip


def _wav(ref: MediaRef) -> bytes:
    import wave

    import numpy as np

    from pytest_lmms.media.audio import open_audio

    samples, rate = open_audio(ref, rate=SOUND_RATE)
    samples = samples[: SOUND_SECONDS * rate]
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()
