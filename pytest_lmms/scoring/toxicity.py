"""How toxic a text is, by Google's Perspective API, where the environment has a key for it.

`PERSPECTIVE_API_KEY` switches it on, `PERSPECTIVE_API_QPS` says how many requests a second the key allows (1, as keys
do at first), `PERSPECTIVE_API_URL` is another address. All workers of a run share the allowance.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from pytest_lmms import httpbounds
from pytest_lmms.errors import DocumentError, explain
from pytest_lmms.inference.retry import Failure, RetryPolicy, retry_after_seconds, worth_retrying

KEY, QPS, URL = "PERSPECTIVE_API_KEY", "PERSPECTIVE_API_QPS", "PERSPECTIVE_API_URL"
ADDRESS = "https://commentanalyzer.googleapis.com/v1alpha1/comments:analyze"
TIMEOUT_SECONDS = 10.0
MAX_TEXT_BYTES = 20_000
"""Of a longer text the beginning is scored; the API takes 20,480 bytes."""
MAX_SHOWN = 300
NOT_SCORED = ("LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE", "COMMENT_EMPTY")
"""Kinds of errors that say something of the text alone."""


class Perspective:
    """The API behind one key; for many threads."""

    def __init__(
        self, key: str, *, url: str = ADDRESS, per_second: float = 1.0, policy: RetryPolicy | None = None
    ) -> None:
        """Set up; nothing is asked yet.

        Args:
            key: Sent as a header, so that it is in no address.
            url: Of `comments:analyze`.
            per_second: Requests that begin in a second, repeated ones included.
            policy: How often a request is repeated, and after how long.
        """
        import httpx

        self._client = httpx.Client(
            timeout=TIMEOUT_SECONDS, headers={"X-Goog-Api-Key": key}, event_hooks=httpbounds.hooks()
        )
        self._url = url
        self._interval_seconds = 1.0 / per_second
        self._policy = policy or RetryPolicy()
        self._lock = threading.Lock()
        self._next_turn = 0.0
        self.toxicity = functools.lru_cache(maxsize=4096)(self._toxicity)
        """Text to toxicity, 0 to 1; None where the API scores no such text. See `_toxicity`."""

    def _toxicity(self, text: str) -> float | None:
        """Ask, and ask again while that may help.

        Raises:
            DocumentError: No attempt succeeded.
        """
        num_attempts = 0
        while True:
            self._wait_for_turn()
            num_attempts += 1
            failure = self._attempt(text)
            if not isinstance(failure, Failure):
                return failure
            if not failure.may_pass or num_attempts > self._policy.max_retries:
                raise DocumentError(
                    explain(f"{failure.message} ({num_attempts} attempts)", where="Perspective API",
                            remedy=f"unset {KEY} to score toxicity by phrases, offline")
                )  # fmt: skip
            time.sleep(self._policy.wait_seconds(failure, num_attempts))

    def _attempt(self, text: str) -> float | Failure | None:
        import httpx

        said = {
            "comment": {
                "text": text.encode("utf-8", errors="replace")[:MAX_TEXT_BYTES].decode("utf-8", errors="ignore")
            },
            "languages": ["en"],
            "requestedAttributes": {"TOXICITY": {}},
            "doNotStore": True,
        }
        try:
            answer = self._client.post(self._url, json=said)
        except httpx.HTTPError as e:
            return Failure(message=f"{type(e).__name__}: {e}", may_pass=True)
        try:
            body = answer.json()
        except (ValueError, RecursionError):
            body = None
        if answer.status_code != httpx.codes.OK:
            if answer.status_code == httpx.codes.BAD_REQUEST and any(kind in answer.text for kind in NOT_SCORED):
                return None
            wait = retry_after_seconds(answer.headers)
            message = f"HTTP {answer.status_code}: {' '.join(answer.text[:MAX_SHOWN].split())}"
            return Failure(message=message, may_pass=worth_retrying(answer.status_code), retry_after_seconds=wait)
        value = _score_in(body)
        if value is None:
            return Failure(message=f"a reply without a score: {answer.text[:MAX_SHOWN]!r}", may_pass=True)
        return value

    def _wait_for_turn(self) -> None:
        with self._lock:
            turn = max(time.monotonic(), self._next_turn)
            self._next_turn = turn + self._interval_seconds
        time.sleep(max(0.0, turn - time.monotonic()))


def _score_in(body: Any) -> float | None:
    try:
        value = body["attributeScores"]["TOXICITY"]["summaryScore"]["value"]
    except (KeyError, TypeError):
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0.0 <= value <= 1.0 else None


_known: dict[tuple[str, str, float], Perspective] = {}
_knowing = threading.Lock()


def _perspective(key: str, url: str, per_second: float) -> Perspective:
    """The one of this key, for all threads: they share its turns."""
    with _knowing:
        found = _known.get((key, url, per_second))
        if found is None:
            found = _known[key, url, per_second] = Perspective(key, url=url, per_second=per_second)
        return found


def has_perspective(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment has a key."""
    return bool(environ.get(KEY))


def perspective_toxicity(text: str, environ: Mapping[str, str] = os.environ) -> float | None:
    """Return a text's toxicity, 0 to 1; None without a key, and for texts that the API does not score.

    Args:
        text: White space around it does not count; an empty text is not asked about.
        environ: Read at each call, as `--lmms-config` sets variables for a run.

    Raises:
        DocumentError: The API refuses the key, or did not answer; never a guess in its place.
    """
    key, text = environ.get(KEY), text.strip()
    if not key or not text:
        return None
    try:
        per_second = float(environ.get(QPS) or 1.0)
        if not per_second > 0:
            raise ValueError
    except ValueError as e:
        raise DocumentError(explain(f"{QPS}={environ.get(QPS)}", expected="a number of requests a second")) from e
    workers = max(1, int(environ.get("PYTEST_XDIST_WORKER_COUNT") or 1))
    return _perspective(key, environ.get(URL) or ADDRESS, per_second / workers).toxicity(text)
