"""Which packets of a video have to be decoded for some of its frames: pure arithmetic on positions.

A video is a sequence of groups of pictures, each beginning with a key frame, at which a decoder can start. The plan
holds the groups in which frames are wanted, and no other, so it never decodes more than a pass from the first frame
would; groups that touch are joined where that spares the decoder a restart and costs it next to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CHEAP_GAP = 8
"""Frames that are decoded for nothing rather than stopping and starting a decoder."""
MAX_REORDERING = 16
"""How many packets later than its turn a picture's packet can come, in H.264, HEVC, VP9 and AV1."""

BALANCED = 0.25
"""By what share of one thread's work a decoder may have more than the others, before it gets a thread of its own."""


@dataclass(frozen=True)
class Segment:
    """Packets that one decoder takes without a restart."""

    start: int
    """Position of its first packet, a key frame."""
    stop: int
    """Position after its last group of pictures."""
    wanted: tuple[int, ...]
    """Positions, in order of presentation, of the frames wanted from it; ascending."""

    @property
    def needed(self) -> int:
        """Position after the last packet that must be read."""
        return min(self.stop, self.wanted[-1] + 1 + MAX_REORDERING)


def plan(wanted: Sequence[int], group_of: Callable[[int], tuple[int, int]], *, max_packets: int) -> list[Segment]:
    """Make segments.

    Args:
        wanted: Positions of frames in order of presentation, ascending.
        group_of: Gives first position and position after the last of the group of pictures that a position is in.
        max_packets: A segment does not grow beyond this by joining groups, so that several decoders have work.

    Returns:
        Segments, ascending, each position in exactly one of them.
    """
    segments: list[Segment] = []
    start = stop = -1
    inside: list[int] = []
    for position in wanted:
        if inside and position < stop:
            inside.append(position)
            continue
        group = group_of(position)
        touches = inside and group[0] == stop and stop - 1 - inside[-1] <= CHEAP_GAP
        if touches and group[1] - start <= max_packets:
            stop = group[1]
            inside.append(position)
            continue
        if inside:
            segments.append(Segment(start, stop, tuple(inside)))
        (start, stop), inside = group, [position]
    if inside:
        segments.append(Segment(start, stop, tuple(inside)))
    return segments


def threads_each(lengths: Sequence[int], workers: int, threads: int) -> int:
    """How many threads each of some decoders gets, so that none is idle for long while another is still at work.

    Args:
        lengths: Packets of the segments, in the order in which decoders take them, each when it is free.
        workers: Decoders, at least 1.
        threads: That there are.

    Returns:
        1 where segments keep all decoders busy to the end; more, together more than `threads`, where one of them
        decodes most: a decoder's own threads then do what the others no longer do.
    """
    loads = [0] * workers
    for length in lengths:
        loads[loads.index(min(loads))] += length
    return max(1, math.ceil(threads * max(loads) / max(1, sum(loads)) - BALANCED))
