"""Videos through PyAV, the reader that is always there.

Plan, then decode: the container's index says in which groups of pictures the wanted frames lie; only these are read,
only up to the last wanted frame, and pictures that no other refers to are skipped unless wanted. Groups are decoded
side by side, each by a decoder of its own. The pixels are those of a decoder that ran from the first frame.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, NoReturn

import av
import numpy as np

from pytest_lmms.errors import MediaError, explain
from pytest_lmms.media._canvas import Canvas
from pytest_lmms.media._packets import INDEXED_FORMATS, IndexedPackets, NotFound, ScannedPackets, due_at
from pytest_lmms.media._pyav_open import Source, decoded, opened, reporting
from pytest_lmms.media.decodeplan import Segment, plan, threads_each
from pytest_lmms.media.frames import Outline, VideoFrames
from pytest_lmms.media.sampling import Sampling, frame_indices

SKIPPABLE = frozenset({"h264", "hevc", "vp9"})
"""Codecs of which pictures that no other refers to can be left out, packet by packet, without changing any other."""
STANDALONE = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video"})
"""Codecs whose decoder needs no more of the container than `extradata`."""
MAX_PIXELS = 1 << 27
"""Of one frame; 16K has 1.3e8. A damaged header may claim any size."""
MAX_BATCH_BYTES = 64 << 20
"""Packets read ahead of the decoders."""


def read(
    source: Source,
    sampling: Sampling,
    *,
    where: str,
    threads: int,
    shape: Callable[[Any], Any] | None = None,
) -> VideoFrames:
    """Read frames of a video.

    Args:
        source: Path, encoded file, or open binary file.
        sampling: What to take.
        where: Names the source in errors.
        threads: Threads that decode, at least 1.
        shape: Makes a frame, uint8 (height, width, 3), smaller; must give all frames of one size one size.

    Raises:
        MediaError: It cannot be opened, holds no video, ends early, or no frame of it can be decoded.
    """
    with reporting(where), opened(source) as container:
        return _Reading(container, source, where, threads, shape).run(sampling)


def outline(source: Source, where: str) -> Outline:
    """Count a video's frames, decoding none of them.

    Raises:
        MediaError: As `read`.
    """
    with reporting(where), opened(source) as container:
        return _Reading(container, source, where, 1, None).outline


class _Reading:
    """One video being read."""

    def __init__(
        self, container: Any, source: Source, where: str, threads: int, shape: Callable[[Any], Any] | None
    ) -> None:
        self._container, self._where, self._threads, self._shape = container, where, threads, shape
        videos = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
        if not videos:
            held = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise MediaError(explain("holds no video", where=where, expected=f"a video stream beside: {held}"))
        self._stream = videos[0]
        if self._stream.codec_context is None:
            raise MediaError(explain("a video in a format that FFmpeg does not know", where=where))
        self._stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        self._packets: IndexedPackets | ScannedPackets = self._find_packets(source)
        total = self._packets.total
        if not total:
            raise MediaError(explain("the video has no frames", where=where))
        rate = self._stream.average_rate or self._stream.guessed_rate
        fps = float(rate) if rate else None
        length = self._stream.duration
        seconds = float(length * self._stream.time_base) if length else (container.duration or 0) / 1e6
        self.outline = Outline(total, fps, seconds or (total / fps if fps else None))

    def run(self, sampling: Sampling) -> VideoFrames:
        """Choose frames and decode them."""
        stream = self._stream
        outline = self.outline
        fps, total = outline.fps, outline.total
        indices = frame_indices(total, fps, sampling)
        self._canvas = canvas = Canvas(len(indices), self._shape)
        self._slots = {int(position): slot for slot, position in enumerate(indices)}
        self._decode_planned()
        if canvas.is_mixed:  # which came first depends on the threads
            canvas.clear()
        replaced = self._replace_missing(indices)
        base = stream.time_base
        start = stream.start_time or 0
        times = [float((t - start) * base) if t is not None else i / (fps or 1.0)
                 for t, i in zip(canvas.times, indices, strict=True)]  # fmt: skip
        return VideoFrames(
            frames=canvas.upright,
            timestamps_seconds=np.array(times),
            indices=indices,
            fps=fps,
            duration_seconds=outline.duration_seconds,
            total=total,
            num_replaced=replaced,
        )

    def _find_packets(self, source: Source) -> IndexedPackets | ScannedPackets:
        """Use the container's index where it is complete, else pass over the file once."""
        named = set(self._container.format.name.split(","))
        if not hasattr(self._stream, "index_entries"):  # PyAV before 17
            scanned = ScannedPackets(self._container, self._stream)
            if named & INDEXED_FORMATS and scanned.num_stored < self._stream.frames:
                self._cut(f"has {scanned.num_stored:,} frames", f"{self._stream.frames:,}")
            return scanned
        entries = self._stream.index_entries
        whole = named & INDEXED_FORMATS and len(entries) and len(entries) == self._stream.frames
        if not whole or entries[0].is_discard or entries[len(entries) - 1].is_discard:
            return ScannedPackets(self._container, self._stream)
        packets = IndexedPackets(self._container, self._stream)
        size = os.stat(source).st_size if isinstance(source, str) else self._container.size
        if 0 < size < packets.end_bytes:
            self._cut(f"has {size:,} bytes", f"{packets.end_bytes:,} bytes")
        return packets

    def _cut(self, found: str, expected: str) -> NoReturn:
        raise MediaError(
            explain(f"the file was cut: it {found}", where=self._where, expected=f"{expected}, by its own index")
        )

    # Decoding what the plan names

    def _decode_planned(self) -> None:
        if isinstance(self._packets, ScannedPackets) and not self._packets.timed:
            return
        wanted = sorted(self._slots)
        share = max(1, -(-self._packets.total // (2 * self._threads)))
        segments = plan(wanted, self._packets.group_of, max_packets=share)
        name = self._stream.codec_context.codec.canonical_name
        workers = min(self._threads, len(segments)) if name in STANDALONE else 1
        each = threads_each([s.needed - s.start for s in segments], workers, self._threads)
        contexts = [self._context(number, each) for number in range(workers)]
        try:
            if workers == 1:
                self._decode_alone(contexts[0], segments)
            else:
                with ThreadPoolExecutor(workers) as pool:
                    for batch in self._batches(segments, workers):
                        turn = iter(batch)  # each decoder takes the next when it is done with one
                        list(pool.map(lambda context, turn=turn: self._decode_all(context, turn), contexts))
        except (NotFound, av.error.FFmpegError):
            return  # what is missing is found by going through the file from its beginning

    def _decode_alone(self, context: Any, segments: Sequence[Segment]) -> None:
        """Have one decoder decode all, and other threads turn frames into pixels meanwhile where there are any."""
        helpers = self._threads // 2
        with self._canvas.putting(helpers) if helpers else nullcontext(self._canvas.put) as put:
            for segment in segments:
                self._decode(context, *self._read(segment), put)

    def _context(self, number: int, threads: int) -> Any:
        """Make a decoder: the stream's own, which knows most, and others like it."""
        own = self._stream.codec_context
        context = own
        if number:
            context = av.CodecContext.create(own.codec, "r")
            context.extradata = own.extradata
            context.options = own.options
            for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
                setattr(context, name, getattr(own, name))
        context.thread_count = threads
        context.thread_type = "AUTO" if context.thread_count > 1 else "NONE"
        return context

    def _batches(self, segments: Sequence[Segment], workers: int) -> Iterator[list[tuple[Any, dict[int, int]]]]:
        """Read segments ahead of the decoders, a bounded amount."""
        batch: list[tuple[Any, dict[int, int]]] = []
        size = 0
        for segment in segments:
            packets, targets = self._read(segment)
            batch.append((packets, targets))
            size += sum(p.size for p in packets)
            if size > MAX_BATCH_BYTES and len(batch) >= workers:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _read(self, segment: Segment) -> tuple[Sequence[Any], dict[int, int]]:
        """Packets of a segment, and slots of the wanted frames by time of presentation."""
        packets = list(self._packets.read(segment.start, segment.needed))
        order = sorted(p.pts for p in packets)
        targets = {order[w - segment.start]: self._slots[w] for w in segment.wanted if w - segment.start < len(order)}
        if segment.start and min(targets) < packets[0].pts:  # shown before the key frame, decoded after it
            start, stop = self._packets.group_of(segment.start - 1)
            packets = [*self._packets.read(start, stop), *packets]
        return packets, targets

    def _decode_all(self, context: Any, pieces: Iterable[tuple[Sequence[Any], dict[int, int]]]) -> None:
        for packets, targets in pieces:
            self._decode(context, packets, targets, self._canvas.put)

    def _decode(
        self, context: Any, packets: Sequence[Any], targets: dict[int, int], put: Callable[[int, Any], None]
    ) -> None:
        """Decode packets from a key frame on until all targets have come out."""
        skips = context.codec.canonical_name in SKIPPABLE
        left = dict(targets)
        for packet in [*packets, None]:
            if skips and packet is not None:
                context.skip_frame = "DEFAULT" if packet.pts in targets else "NONREF"
            for frame in decoded(context, packet):
                slot = left.pop(frame.pts, None)
                if slot is not None:
                    put(slot, frame)
            if not left:
                break
        context.skip_frame = "DEFAULT"
        context.flush_buffers()

    # Going through the file from its beginning

    def _replace_missing(self, indices: Any) -> int:
        """Fill slots left empty, by decoding everything; return how many got another frame than wanted."""
        missing = [slot for slot, filled in enumerate(self._canvas.filled) if not filled]
        if not missing:
            return 0
        packets = self._packets
        if isinstance(packets, IndexedPackets):
            packets = packets.scanned()
        shown = packets.times_shown()
        waiting = [(due_at(int(indices[slot]), shown), slot) for slot in reversed(missing)]
        before = None
        put = self._canvas.put
        exact = 0
        for number, frame in enumerate(self._all_frames(packets)):
            now = frame.pts if shown else number
            while waiting and now is not None and now >= waiting[-1][0]:
                due, slot = waiting.pop()
                exact += now == due
                put(slot, frame if now == due or before is None else before)
            before = frame
            if not waiting:
                break
        if before is None:
            raise MediaError(explain("no frame of the video can be decoded", where=self._where))
        for _, slot in waiting:
            put(slot, before)
        return len(missing) - exact

    def _all_frames(self, packets: ScannedPackets) -> Iterator[Any]:
        """Every frame that can be decoded, in order, damaged packets left out."""
        context = self._stream.codec_context
        for packet in packets.every():
            if packet.size:
                yield from decoded(context, packet)
        yield from decoded(context, None)
