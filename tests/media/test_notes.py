"""Notes reach whoever collects them, also from another thread."""

from __future__ import annotations

import asyncio

from pytest_lmms.media.notes import collecting, note


def test_notes_are_collected_once_each_and_only_inside():
    note("before")
    with collecting() as flags:
        note("a")
        with collecting() as inner:
            note("inner")
        note("a")
        note("b")
    note("after")
    assert (flags, inner) == (["a", "b"], ["inner"])


def test_documents_in_flight_have_notes_of_their_own():
    async def prepare(name):
        with collecting() as flags:
            await asyncio.to_thread(note, name)
            await asyncio.sleep(0)
            return flags

    async def both():
        return await asyncio.gather(prepare("a"), prepare("b"))

    assert asyncio.run(both()) == [["a"], ["b"]]
