"""The response store: what a model once said, so that nothing is asked twice.

Every process appends to a file of its own; a batch is one line, so a batch is kept whole or not at all, and a kill
in the middle of a write costs at most that line. Reading builds an index of keys to places in files, not of texts.
Only real responses enter; an error never does.

Key: BLAKE2b-128 over the model's identity, the rendered messages with media digests, the generation settings and
the number of the repeat.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_lmms.errors import StoreError, explain
from pytest_lmms.jsonl import LineFile, dumps, loads
from pytest_lmms.media.files import check_regular
from pytest_lmms.media.references import digest
from pytest_lmms.records import Generation, Message, Request, Response, ToolCall, token_counts_from

VERSION = 1


def digest_identity(identity: Mapping[str, Any]) -> str:
    """A short digest of what a model's text depends on."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


SAMPLED = "s"
"""Ends the keys of responses that another run may draw anew."""


def is_sampled(key: str) -> bool:
    """Whether a key is that of a sampled response."""
    return key.endswith(SAMPLED)


class KeyMaker:
    """Computes store keys for one model. Safe on several threads."""

    def __init__(self, identity_digest: str) -> None:
        self._identity = identity_digest.encode()
        self._generations: dict[int, tuple[Generation, bytes]] = {}

    def keys(self, requests: Sequence[Request]) -> list[str]:
        """Return one key a request. Repeats of one document share the work of digesting its messages."""
        keys: list[str] = []
        previous: tuple[Message, ...] | None = None
        body = b""
        for request in requests:
            if request.messages is not previous:
                previous = request.messages
                body = _canonical(previous)
            h = hashlib.blake2b(self._identity, digest_size=16)
            h.update(body)
            h.update(self._generation(request.generation))
            if request.tools:
                h.update(b"\0f" + json.dumps(request.tools, sort_keys=True, default=str).encode())
            if request.continuation is not None:
                h.update(b"\0c" + request.continuation.encode("utf-8", "surrogatepass"))
            if request.repeat:
                h.update(b"\0r%d" % request.repeat)
            keys.append(h.hexdigest() + SAMPLED * request.generation.samples)
        return keys

    def _generation(self, generation: Generation) -> bytes:
        found = self._generations.get(id(generation))
        if found is None or found[0] is not generation:
            values = {k: v for k, v in asdict(generation).items() if v not in (None, (), {})}
            found = (generation, b"\0g" + json.dumps(values, sort_keys=True, default=str).encode())
            if len(self._generations) > 1000:
                self._generations.clear()
            self._generations[id(generation)] = found
        return found[1]


def _canonical(messages: tuple[Message, ...]) -> bytes:
    parts: list[bytes] = []
    for message in messages:
        parts.append(b"\0m" + message.role.encode())
        if message.call_id is not None:
            parts.append(b"\0i" + message.call_id.encode("utf-8", "surrogatepass"))
        for call in message.tool_calls:
            said = json.dumps([call.id, call.name, call.arguments])
            parts.append(b"\0f" + said.encode())
        for part in message.content:
            if isinstance(part, str):
                parts.append(b"\0t" + part.encode("utf-8", "surrogatepass"))
            else:
                parts.append(b"\0d" + digest(part).encode())
    return b"".join(parts)


def encode_response(response: Response) -> dict[str, Any]:
    """A response as JSON values; what is None or empty is left out, and so is its timing, which nobody may reuse."""
    value: dict[str, Any] = {"text": response.text}
    if response.finish_reason is not None:
        value["finish_reason"] = response.finish_reason
    tokens = response.tokens
    if tokens.input_tokens is not None or tokens.output_tokens is not None:
        value["tokens"] = tokens.as_list
    if response.logprob is not None:
        value["logprob"] = response.logprob
        value["is_greedy"] = response.is_greedy
    if response.flags:
        value["flags"] = list(response.flags)
    if response.tool_calls:
        value["tool_calls"] = [[call.id, call.name, call.arguments] for call in response.tool_calls]
    return value


def decode_response(value: Mapping[str, Any], *, cached: bool) -> Response:
    """The inverse of `encode_response`.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: It is no response.
    """
    if not isinstance(value["text"], str):
        raise TypeError("a text that is none")
    return Response(
        text=value["text"],
        finish_reason=value.get("finish_reason"),
        tokens=token_counts_from(value.get("tokens") or ()),
        logprob=value.get("logprob"),
        is_greedy=value.get("is_greedy"),
        flags=tuple(value.get("flags", ())),
        tool_calls=tuple(ToolCall(id=i, name=n, arguments=a) for i, n, a in value.get("tool_calls", ())),
        cached=cached,
    )


class ResponseStore:
    """Append-only; one file a process, any number of readers.

    Args:
        folder: Where the files lie; made when the first response is written.
        writer: Names this process's file (`<writer>-<pid>.jsonl`).
        read: Whether responses found in `folder` may be given out.
    """

    def __init__(self, folder: Path, *, writer: str, read: bool = False) -> None:
        self.folder = folder
        self.num_hits = 0
        self.damaged: list[str] = []
        """Where lines lie that hold no responses, as `file:line`; not the one that a kill cut short at a file's end."""
        self._file: LineFile | None = None
        self._path = folder / f"{writer}-{os.getpid()}.jsonl"
        self._index: dict[str, tuple[int, int]] = {}
        self._paths: list[Path] = []
        self._line: tuple[tuple[int, int], dict[str, Any]] | None = None
        if read and folder.is_dir():
            for path in sorted(folder.glob("*.jsonl")):
                self._read(path)

    def __len__(self) -> int:
        """How many responses can be given out."""
        return len(self._index)

    def _read(self, path: Path) -> None:
        try:
            check_regular(str(path))
        except OSError as e:
            raise StoreError(explain(f"cannot be read: {e.strerror}", where=str(path), expected="responses")) from e
        number = len(self._paths)
        self._paths.append(path)
        offset = 0
        with path.open("rb") as file:
            for line_number, line in enumerate(file, 1):
                entries = _parse(line, path)
                if entries is None and line.endswith(b"\n"):
                    self.damaged.append(f"{path}:{line_number}")
                for key in entries or ():
                    self._index[key] = (number, offset)
                offset += len(line)

    def get(self, key: str) -> Response | None:
        """The response stored under a key, marked as cached; None without one, or where it cannot be read."""
        place = self._index.get(key)
        if place is None:
            return None
        try:
            if self._line is None or self._line[0] != place:
                path = self._paths[place[0]]
                with path.open("rb") as file:
                    file.seek(place[1])
                    self._line = (place, _parse(file.readline(), path) or {})
            response = decode_response(self._line[1][key], cached=True)
        except (OSError, KeyError, TypeError, ValueError, AttributeError):  # somebody else's, or gone meanwhile
            del self._index[key]
            return None
        self.num_hits += 1
        return response

    def put(self, entries: Iterable[tuple[str, Response]]) -> None:
        """Append the responses of one batch as one line, and hand it to the operating system.

        Raises:
            OSError: The disk is full, say. Nothing of this batch will be given out; later batches are kept.
        """
        values = {k: encode_response(r) for k, r in entries}
        if not values:
            return
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = LineFile(self._path)
        self._file.write(dumps({"v": VERSION, "responses": values}) + b"\n")

    def close(self) -> None:
        """Close the file; the store may be read again, not written."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _parse(line: bytes, path: Path) -> dict[str, Any] | None:
    """The entries of one line; None of a line that a kill cut short, or that is damaged."""
    try:
        value = loads(line)
        version, responses = value["v"], value["responses"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(responses, dict):
        return None
    if version != VERSION:
        raise StoreError(
            explain(
                f"response store of version {version}",
                where=str(path),
                expected=f"version {VERSION}",
                remedy="move that folder away, or run without --lmms-resume",
            )
        )
    return responses
