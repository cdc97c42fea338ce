"""OpenAI's batch API, for runs that can wait: half the price, an answer within a day."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pytest_lmms import httpbounds
from pytest_lmms.errors import ModelError, UsageError, explain
from pytest_lmms.jsonl import dumps, loads
from pytest_lmms.records import Request, Response

from ._chat_completions import ChatCompletions
from ._chat_stream import BrokenReplyError, RefusedError, read_whole

_OVER = frozenset({"failed", "expired", "cancelled"})
_MARK = "pytest_lmms"
"""Key of a batch's metadata: the digest of what it asks, by which an interrupted run finds it again."""
_NUM_LISTED = 100
_LONGEST_LINE_BYTES = httpbounds.LONGEST_ANSWER_BYTES
_NUM_STRAY_LINES = 1000
"""Of a file of answers, beyond one for each request."""


@dataclass(kw_only=True, eq=False, repr=False)
class OpenAIBatch(ChatCompletions):
    """Asks as many requests as `--lmms-batch-size` says in one file, and waits until the provider has done them.

    A run that is cut short while it waits finds its batch again when it asks the same: nothing is paid twice.
    """

    removed_arguments: ClassVar[Mapping[str, str]] = {}

    batch_size: int = 1
    """Requests in one file, at most 50,000."""
    poll_seconds: float = 30.0
    """Between two looks at a batch."""
    completion_window: str = "24h"
    """How long the provider may take."""
    stream: bool = False
    """Answers come in one piece."""

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            UsageError: See `ChatCompletions`; a batch of one request.
        """
        super().__post_init__()
        if self.batch_size < 2 or self.mcp_server_path or self.stream:
            raise UsageError(
                explain(
                    "batches of one request, tools and streams are not for a batch API",
                    where="openai_batch",
                    remedy="add: --lmms-batch-size 1000 (or as many as the run has documents)",
                )
            )
        self._known: dict[str, Response | ModelError] = {}
        """What became of requests, by the digest of their JSON."""

    def start(self) -> None:  # type: ignore[override]
        """Open the client."""
        self._client = self._openai.OpenAI(
            api_key=self._key.value,
            **self._address(),
            max_retries=int(self.max_retries),
            default_headers=self._headers,
            **self._bounded(httpbounds.LONGEST_ANSWER_BYTES),
        )
        # A file of answers may be as large as it likes: it is read line by line.
        self._files_client = self._client.with_options(**self._bounded(math.inf))

    def _bounded(self, most_bytes: float) -> dict[str, Any]:
        timeout = self._openai.Timeout(self.timeout, connect=self.connect_timeout_s)
        hooks = httpbounds.hooks(most_bytes)
        transport = self._openai.DefaultHttpxClient(timeout=timeout, trust_env=self.httpx_trust_env, event_hooks=hooks)
        return {"timeout": timeout, "http_client": transport}

    def stop(self) -> None:  # type: ignore[override]
        """Close the client; a batch that is not done goes on at the provider."""
        if self._client is not None:
            self._client.close()
            self._files_client.close()

    def prepare(self, requests: Sequence[Request]) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
        """The JSON of each request, and flags for its response."""
        return [self.body(request) for request in requests]

    def generate_prepared(
        self,
        prepared: Sequence[tuple[dict[str, Any], tuple[str, ...]]],
        requests: Sequence[Request],  # noqa: ARG002
    ) -> list[Response]:
        """Answer what `prepare` returned.

        Raises:
            ModelError: The batch failed, or one of its requests did.
        """
        bodies = [dumps(body) for body, _ in prepared]
        names = [hashlib.blake2b(body, digest_size=16).hexdigest() for body in bodies]
        asked = {name: body for name, body in zip(names, bodies, strict=True) if name not in self._known}
        if asked:
            try:
                self._known |= self._answers(asked)
            except self._openai.APIError as error:
                raise ModelError(self._failure(error, 1).message) from error
        outcomes = [self._known[name] for name in names]
        for outcome in outcomes:
            if isinstance(outcome, ModelError):
                raise outcome
        return [r for r in outcomes if isinstance(r, Response)]

    def generate(self, requests: Sequence[Request]) -> list[Response]:  # type: ignore[override]
        """Answer every request, in order; see `inference.model.BatchModel`."""
        return self.generate_prepared(self.prepare(requests), requests)

    def _answers(self, asked: Mapping[str, bytes]) -> dict[str, Response | ModelError]:
        """What became of requests, after a wait that may be long."""
        lines = [
            b'{"custom_id":"%s","method":"POST","url":"/v1/chat/completions","body":%s}' % (name.encode(), body)
            for name, body in asked.items()
        ]
        batch = self._finished(self._submitted(b"\n".join(lines) + b"\n"))
        found: dict[str, Response | ModelError] = {}
        for file in (batch.output_file_id, batch.error_file_id):
            for line in self._lines(file, len(asked) + _NUM_STRAY_LINES) if file else ():
                with contextlib.suppress(
                    ValueError, KeyError, TypeError, AttributeError
                ):  # its request is told missing
                    value = loads(line)
                    if value["custom_id"] in asked:
                        found[value["custom_id"]] = self._outcome(value)
        missing = ModelError(self._explain(f"the batch {batch.id} is {batch.status}, without this request", 1))
        return {name: found.get(name, missing) for name in asked}

    def _lines(self, file: str, most: int) -> Iterator[bytes]:
        """The first lines of a file of the provider's, as they arrive.

        Raises:
            ModelError: The file breaks off.
        """
        try:
            with self._files_client.files.with_streaming_response.content(file) as content:
                yield from itertools.islice(_lines(content.iter_bytes()), most)
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2"):
                raise
            raise ModelError(self._failure(error, 1).message) from error

    def _submitted(self, content: bytes) -> Any:
        """The batch that asks this: one that is there already, or a new one."""
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        for batch in self._client.batches.list(limit=_NUM_LISTED).data:
            if (batch.metadata or {}).get(_MARK) == digest and batch.status not in _OVER:
                return batch
        file = self._client.files.create(file=("requests.jsonl", content), purpose="batch")
        return self._client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window=self.completion_window,
            metadata={_MARK: digest},
        )

    def _finished(self, batch: Any) -> Any:
        """Wait for a batch.

        Raises:
            ModelError: It failed as a whole.
        """
        while batch.status not in _OVER | {"completed"}:
            time.sleep(self.poll_seconds)
            batch = self._client.batches.retrieve(batch.id)
        if batch.status != "completed" and not batch.output_file_id:
            errors = "; ".join(error.message or "" for error in (batch.errors.data if batch.errors else None) or ())
            raise ModelError(self._explain(f"the batch {batch.id} is {batch.status}: {errors}", 1))
        return batch

    def _outcome(self, line: Mapping[str, Any]) -> Response | ModelError:
        """What became of one request."""
        answer = line.get("response") or {}
        error = line.get("error")
        if error is None and answer.get("status_code") == 200:
            try:
                reply = read_whole(dumps(answer["body"]))
            except (BrokenReplyError, RefusedError) as broken:
                return ModelError(self._explain(f"broken reply: {broken}", 1))
            return Response(
                text=reply.text, finish_reason=reply.finish_reason, tokens=reply.tokens, tool_calls=reply.tool_calls
            )
        said = error or (answer.get("body") or {}).get("error") or {}
        if said.get("code") in ("content_filter", "content_policy_violation"):
            return Response(text="", finish_reason="filtered")
        return ModelError(self._explain(f"HTTP {answer.get('status_code')}: {said.get('message') or said}", 1))


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of a text as its lines; one that is too long for an answer comes empty."""
    begun: list[bytes] = []  # joined once, however many pieces a line has
    size = 0
    for piece in pieces:
        for place, part in enumerate(piece.split(b"\n")):
            if place:
                yield b"".join(begun)
                begun, size = [], 0
            size += len(part)
            begun.append(part)
            if size > _LONGEST_LINE_BYTES:
                begun.clear()
    yield b"".join(begun)
