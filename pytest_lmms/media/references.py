"""What a medium is, in one short string: the digest that stores and document hashes use.

This module hashes; it decodes nothing, and knows no task and no model. Equal bytes have equal
digests wherever they lie: a file and the same bytes inside a dataset row are one medium.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pytest_lmms.errors import MediaError, explain
from pytest_lmms.media.files import check_regular
from pytest_lmms.media.lance_blob import LanceBlob
from pytest_lmms.records import MediaRef

_CHUNK_BYTES = 1 << 20
_PATH_CACHE_ITEMS = 16384


def digest(ref: MediaRef) -> str:
    """Return a digest of what `ref` refers to.

    Args:
        ref: Any reference. Files are hashed once per (path, modification time, size); encoded
            bytes cost about 0.015 ms a megabyte; pixels and samples are hashed only when the
            reference holds an object.

    Returns:
        ``kind/mode:scheme:hash``: the kind of medium, the mode that the task asked for (empty when
        none; of a part of a video, its limits in seconds in brackets), then ``encoded`` (hash of
        the file's bytes), ``url`` (the address itself), ``lance`` (the write that made the dataset,
        column and row) or ``object`` (hash of the decoded values with their type, shape and mode).
        Hashes are 32 hexadecimal digits of xxh3_128.

    Raises:
        MediaError: The file cannot be read, the reference is empty, or its object is of an unknown
            type.
    """
    prefix = f"{ref.kind}/{ref.mode or ''}"
    if ref.start_seconds is not None or ref.end_seconds is not None:
        prefix += f"[{ref.start_seconds},{ref.end_seconds}]"
    if ref.data is not None:
        return f"{prefix}:encoded:{_hash_bytes(ref.data)}"
    if ref.path is not None:
        return f"{prefix}:encoded:{_digest_path(ref.path)}"
    if ref.url is not None:
        return f"{prefix}:url:{ref.url}"
    if ref.content is None:
        raise MediaError(
            explain(
                f"an empty {ref.kind} reference",
                expected="exactly one of path, data, url and content",
            )
        )
    if isinstance(ref.content, LanceBlob):
        return f"{prefix}:lance:{ref.content.digest}"
    encoded = _still_encoded(ref.content)
    if encoded is not None:
        mode = encoded.mode if ref.mode is None else ref.mode
        return digest(
            MediaRef(kind=ref.kind, path=encoded.path, data=encoded.data, mode=mode),
        )
    hasher = _hasher()
    _feed(hasher, ref.content)
    return f"{prefix}:object:{hasher.hexdigest()}"


def _still_encoded(content: Any) -> MediaRef | None:
    """Return the undecoded source of a lazy image, None for anything else."""
    ask = getattr(type(content), "encoded_reference", None)
    return ask(content) if ask is not None else None


def _hasher() -> Any:
    import xxhash

    return xxhash.xxh3_128()


def _hash_bytes(data: bytes) -> str:
    import xxhash

    return str(xxhash.xxh3_128_hexdigest(data))


def _digest_path(path: str) -> str:
    try:
        check_regular(path)
        status = os.stat(path)
        return _digest_file(os.path.abspath(path), status.st_mtime_ns, status.st_size)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MediaError(explain(f"cannot read the file: {reason}", where=path)) from error


@lru_cache(maxsize=_PATH_CACHE_ITEMS)
def _digest_file(path: str, _mtime_ns: int, _size_bytes: int) -> str:
    """Hash a file in pieces; time and size are in the key, so that a new file is read anew."""
    hasher = _hasher()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return str(hasher.hexdigest())


def _feed(hasher: Any, value: Any) -> None:
    """Add a decoded value to a hash: its type, its form, its numbers; recurse into containers."""
    if isinstance(value, Mapping):
        hasher.update(f"mapping {len(value)};".encode())
        for key in sorted(value, key=str):
            hasher.update(f"{key!r}:".encode())
            _feed(hasher, value[key])
    elif isinstance(value, (list, tuple)):
        hasher.update(f"sequence {len(value)};".encode())
        for item in value:
            _feed(hasher, item)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        hasher.update(f"bytes {len(value)};".encode())
        hasher.update(value)
    elif value is None or isinstance(value, (str, bool, int, float)):
        hasher.update(f"{type(value).__name__} {value!r};".encode())
    else:
        _feed_object(hasher, value)


def _feed_object(hasher: Any, value: Any) -> None:
    """Add an image, an array or a tensor, told apart by what they can do: none is imported."""
    if hasattr(value, "tobytes") and hasattr(value, "mode") and hasattr(value, "getpalette"):
        hasher.update(f"image {value.mode} {tuple(value.size)};".encode())
        if value.mode in ("P", "PA"):
            hasher.update(f"{value.getpalette()};{value.info.get('transparency')!r};".encode())
        hasher.update(value.tobytes())
    elif hasattr(value, "tobytes") and hasattr(value, "dtype") and not value.dtype.hasobject:
        hasher.update(f"array {value.dtype.str} {tuple(value.shape)};".encode())
        hasher.update(value.tobytes())
    elif hasattr(value, "detach") and hasattr(value, "numpy"):
        _feed(hasher, value.detach().cpu().numpy())
    else:
        _feed_pickled(hasher, value)


def _feed_pickled(hasher: Any, value: Any) -> None:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    try:
        pickled = pickle.dumps(value, protocol=4)
    except Exception as error:
        raise MediaError(
            explain(
                f"cannot take a digest of a medium of type {kind}: {error}",
                expected="a PIL image, an array, bytes, numbers, or mappings and lists of these",
            )
        ) from error
    hasher.update(f"pickle {kind};".encode())
    hasher.update(pickled)
