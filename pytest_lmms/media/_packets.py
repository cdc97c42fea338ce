"""Where a video's packets lie, and how to get some of them: from the container's index, or from one pass over it.

Works on what PyAV opened and imports nothing of it: `_pyav` opens and decodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

MAX_HELD_BYTES = 64 << 20
"""Packets of a pass over the file are kept up to this size, so that nothing is read twice."""
INDEXED_FORMATS = frozenset({"mov", "mp4"})
"""Containers whose index names every packet."""


class NotFound(Exception):
    """Seeking did not lead to the packets that the index promises."""


class Packets(Protocol):
    """A video's packets in order of decoding; positions count from 0."""

    total: int
    """Number of packets that show a frame."""

    def group_of(self, position: int) -> tuple[int, int]:
        """First position, and position after the last, of the group of pictures around a position."""
        ...

    def read(self, start: int, stop: int) -> Sequence[Any]:
        """Packets from a key frame's position to before another position. Raises `NotFound`."""
        ...


class IndexedPackets:
    """Packets of a container with a complete index; nothing is read before it is asked for."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self._entries = stream.index_entries
        self.total = len(self._entries)
        self._delay = (stream.start_time or 0) - self._entries[0].timestamp
        """Ticks from a key frame's decoding to its presentation."""

    def group_of(self, position: int) -> tuple[int, int]:
        """See `Packets`; two binary searches."""
        entries = self._entries
        timestamp = entries[position].timestamp
        start = entries.search_timestamp(timestamp, backward=True)
        stop = entries.search_timestamp(timestamp + 1, backward=False)
        return max(start, 0), stop if stop > position else self.total

    def read(self, start: int, stop: int) -> Sequence[Any]:
        """See `Packets`."""
        first = self._entries[start].timestamp
        container, stream = self._container, self._stream
        container.seek(first + self._delay, stream=stream)
        return _packets_from(container.demux(stream), first, stop - start)

    def scanned(self) -> ScannedPackets:
        """The same packets, found by going through the file from its beginning."""
        _rewind(self._container, self._stream)
        return ScannedPackets(self._container, self._stream)

    @property
    def end_bytes(self) -> int:
        """Where the last packet ends in the file."""
        last = self._entries[self.total - 1]
        return int(last.pos + last.size)


class ScannedPackets:
    """Packets of any other container, found by one pass over it."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        held: list[Any] | None = []
        size = 0
        stamps: list[int | None] = []
        self.timed = True
        """Whether every packet says when its frame is shown."""
        keys: list[int] = []
        self._presented: list[int | None] = []
        self.num_stored = 0
        """Packets that were there, also those that show nothing."""
        for packet in container.demux(stream):
            self.num_stored += packet.dts is not None or packet.size > 0
            if not packet.size or packet.is_discard:
                continue
            if packet.is_keyframe or not keys:
                keys.append(len(stamps))
            stamps.append(packet.dts)
            self._presented.append(packet.pts)
            self.timed = self.timed and packet.pts is not None
            size += packet.size
            if held is not None:
                held.append(packet)
                if size > MAX_HELD_BYTES:
                    held = None
        self.total = len(stamps)
        self._held, self._stamps = held, stamps
        self._keys = np.array([*keys, self.total])

    def group_of(self, position: int) -> tuple[int, int]:
        """See `Packets`."""
        group = int(np.searchsorted(self._keys, position, side="right")) - 1
        return int(self._keys[group]), int(self._keys[group + 1])

    def read(self, start: int, stop: int) -> Sequence[Any]:
        """See `Packets`."""
        if self._held is not None:
            return self._held[start:stop]
        first, shown = self._stamps[start], self._presented[start]
        if first is None or shown is None:
            raise NotFound
        self._container.seek(shown, stream=self._stream)
        try:
            return _packets_from(self._container.demux(self._stream), first, stop - start)
        except NotFound:  # in a container without an index FFmpeg guesses where to go
            return _packets_from(self.every(), first, stop - start)

    def times_shown(self) -> list[int]:
        """When each frame is shown, in ticks, ascending; empty where packets do not say it."""
        return sorted(p for p in self._presented if p is not None) if self.timed else []

    def every(self) -> Iterator[Any]:
        """All packets from the beginning."""
        if self._held is not None:
            return iter(self._held)
        _rewind(self._container, self._stream)
        return iter(self._container.demux(self._stream))


def _rewind(container: Any, stream: Any) -> None:
    """Go to the beginning: a second before it, as FFmpeg lands behind what it searches for in some containers."""
    start = stream.start_time or 0
    try:
        container.seek(start - int(1 / stream.time_base), stream=stream)
    except (OSError, ValueError):  # this container takes no time before its first
        container.seek(start, stream=stream)


def _packets_from(packets: Any, first: int, count: int) -> list[Any]:
    """Take `count` packets, beginning with the key frame that is decoded at `first`."""
    taken: list[Any] = []
    for packet in packets:
        if not packet.size or packet.is_discard:
            continue
        if not taken:
            if packet.dts is not None and packet.dts < first:
                continue
            if packet.dts != first or not packet.is_keyframe:
                raise NotFound
        taken.append(packet)
        if len(taken) == count:
            break
    if not taken:
        raise NotFound
    return taken


def due_at(index: int, shown: Sequence[int]) -> int:
    """When a frame is shown, or its number where no times are known; there may be fewer than the index promised."""
    return shown[min(index, len(shown) - 1)] if shown else index
