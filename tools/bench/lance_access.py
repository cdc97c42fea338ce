"""Random access to videos: Lance, Parquet and loose files on this disk.

    python tools/bench/lance_access.py --count 60 --megabytes 4      # `make bench-lance`

Writes the same media in each form, then, in a random order that is the same for all: reads names and sizes; reads whole
media; reads the first 64 KiB of media, as a decoder does that opens a container; decodes 8 frames. Each figure is the
median of the accesses, with files in the page cache (`--cold` drops them first, where that is permitted). Bytes read
are counted by Lance itself, and for Parquet by the file that it reads from.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

sys.path.insert(0, str(Path(__file__).parents[2]))

COLUMNS = {"video_id": "string", "video_ext": "string", "video_size_bytes": "int64", "video_blob": "blob"}
HEAD_BYTES = 1 << 16


class Counted(io.RawIOBase):
    """A file whose reads are counted."""

    def __init__(self, path: Path, count: Callable[[int], None]) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed with this one
        self._count = count
        self.seek, self.tell, self.close = self._file.seek, self._file.tell, self._file.close

    def readinto(self, buffer: Any) -> int:
        """Read, and count."""
        num_bytes = self._file.readinto(buffer)
        self._count(num_bytes)
        return num_bytes

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True


class Store(ABC):
    """Media by name; counts what it reads."""

    def __init__(self) -> None:
        self._num_bytes = 0

    @abstractmethod
    def names(self) -> list[str]:
        """Read names and sizes."""

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """One medium."""

    def bytes_read(self) -> int:
        """Since the last call."""
        num_bytes, self._num_bytes = self._num_bytes, 0
        return num_bytes

    def _count(self, num_bytes: int) -> None:
        self._num_bytes += num_bytes


class Files(Store):
    """A folder of files, and their names and sizes in JSON lines."""

    def __init__(self, folder: Path, media: Iterator[tuple[str, bytes]]) -> None:
        super().__init__()
        self._folder = folder / "files"
        self._folder.mkdir()
        with open(folder / "files.jsonl", "w", encoding="utf-8") as index:
            for name, data in media:
                (self._folder / f"{name}.mp4").write_bytes(data)
                index.write(json.dumps({"video_id": name, "video_ext": "mp4", "video_size_bytes": len(data)}) + "\n")
        self._index = folder / "files.jsonl"

    def names(self) -> list[str]:  # noqa: D102
        text = self._index.read_text(encoding="utf-8")
        self._count(len(text))
        return [json.loads(line)["video_id"] for line in text.splitlines()]

    def open(self, name: str) -> BinaryIO:  # noqa: D102
        return Counted(self._folder / f"{name}.mp4", self._count)


class Parquet(Store):
    """One Parquet file; a medium is found by its row group."""

    def __init__(self, folder: Path, media: Iterator[tuple[str, bytes]], *, rows_per_group: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        super().__init__()

        schema = pa.schema(
            [("video_id", pa.string()), ("video_size_bytes", pa.int64()), ("video_blob", pa.large_binary())]
        )
        path, pending = folder / f"{rows_per_group}.parquet", []
        with pq.ParquetWriter(str(path), schema) as writer:
            for name, data in media:
                pending.append({"video_id": name, "video_size_bytes": len(data), "video_blob": data})
                if len(pending) == rows_per_group:
                    writer.write_table(pa.Table.from_pylist(pending, schema=schema))
                    pending = []
            if pending:
                writer.write_table(pa.Table.from_pylist(pending, schema=schema))
        self._group = rows_per_group
        self._file = pq.ParquetFile(Counted(path, self._count))
        self._places: dict[str, int] = {}

    def names(self) -> list[str]:  # noqa: D102
        found = self._file.read(columns=["video_id", "video_size_bytes"]).column("video_id").to_pylist()
        self._places = {name: i for i, name in enumerate(found)}
        return found

    def open(self, name: str) -> BinaryIO:  # noqa: D102
        group, place = divmod(self._places[name], self._group)
        column = self._file.read_row_group(group, columns=["video_blob"]).column("video_blob")
        return io.BytesIO(column[place].as_py())


class Lance(Store):
    """A Lance dataset, through pytest_lmms."""

    def __init__(self, folder: Path, media: Iterator[tuple[str, bytes]], *, version: str) -> None:
        from pytest_lmms.media import _lance

        super().__init__()
        self._uri = str(folder / f"{version}.lance")
        rows = ({"video_id": n, "video_ext": "mp4", "video_size_bytes": len(d), "video_blob": d} for n, d in media)
        _lance.write_table(self._uri, COLUMNS, rows, data_storage_version=version)
        self._module = _lance
        self._table = _lance.open_table(self._uri, "video_id", "video_blob")

    def names(self) -> list[str]:  # noqa: D102
        self._module.forget()
        self._table = self._module.open_table(self._uri, "video_id", "video_blob")
        self._table.column("video_size_bytes")
        return list(self._table.names)

    def open(self, name: str) -> BinaryIO:  # noqa: D102
        return self._table.open(self._table.index(name))

    def bytes_read(self) -> int:  # noqa: D102
        return self._table.bytes_read()


def video(seconds: int, megabytes: float) -> bytes:
    """A video of noise, about so large."""
    import av
    import numpy as np

    file, rng = io.BytesIO(), np.random.default_rng(0)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.bit_rate = 640, 360, int(megabytes * 8e6 / seconds)
        for _ in range(10 * seconds):
            noise = rng.integers(0, 256, (360, 640, 3), np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(noise)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return file.getvalue()


def decode(file: BinaryIO) -> None:
    """Decode 8 frames."""
    from pytest_lmms.media.video import open_video
    from pytest_lmms.records import MediaRef

    open_video(MediaRef(kind="video", content=file), num_frames=8)


def drop_cache() -> None:
    """Make the next reads go to the disk."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")


def main() -> int:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=60, help="media")
    parser.add_argument("--megabytes", type=float, default=4.0, help="of each")
    parser.add_argument("--accesses", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cold", action="store_true", help="drop the page cache before each access (needs root)")
    given = parser.parse_args()
    whole = video(10, given.megabytes)

    def media() -> Iterator[tuple[str, bytes]]:
        for i in range(given.count):
            yield f"v{i:05}", whole + i.to_bytes(8, "little")  # no two are equal, so that nothing is stored once

    print(f"{given.count} videos of {len(whole):,} bytes; medians of {given.accesses} accesses, "
          f"{'page cache dropped' if given.cold else 'page cache warm'}\n")  # fmt: skip
    print("| form | names and sizes | bytes | whole medium | bytes | first 64 KiB | bytes | 8 frames | bytes |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        forms: dict[str, Callable[[], Any]] = {
            "loose files": lambda: Files(folder, media()),
            "Parquet, 1 row a group": lambda: Parquet(folder, media(), rows_per_group=1),
            "Parquet, 16 rows a group": lambda: Parquet(folder, media(), rows_per_group=16),
            "Lance, 2.1": lambda: Lance(folder, media(), version="2.1"),
            "Lance, 2.2": lambda: Lance(folder, media(), version="2.2"),
        }
        for title, make in forms.items():
            store = make()
            print(f"| {title} | " + " | ".join(_measure(store, given)) + " |", flush=True)
    return 0


def _measure(store: Any, given: argparse.Namespace) -> list[str]:
    order = random.Random(given.seed)
    names = store.names()
    chosen = [order.choice(names) for _ in range(given.accesses)]
    cells: list[str] = []
    tasks: list[tuple[Callable[[str], object], list[str]]] = [
        (lambda _: store.names(), chosen[:5]),
        (lambda n: store.open(n).read(), chosen),
        (lambda n: store.open(n).read(HEAD_BYTES), chosen),
        (lambda n: decode(store.open(n)), chosen[:10]),
    ]
    for access, keys in tasks:
        times = []
        access(keys[0])
        store.bytes_read()
        for key in keys:
            if given.cold:
                drop_cache()
            start = time.perf_counter()
            access(key)
            times.append(time.perf_counter() - start)
        cells += [f"{statistics.median(times) * 1000:.2f} ms", f"{store.bytes_read() // len(keys):,}"]
    return cells


if __name__ == "__main__":
    sys.exit(main())
