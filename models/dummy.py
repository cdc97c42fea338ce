"""A model that says one thing to everything, at once: for measuring the harness and dry runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmms.inference.model import HONOURS_ALL
from pytest_lmms.records import Request, Response
from pytest_lmms.testing import score_text


class Dummy:
    """Answers a constant. Opens no media, counts no tokens, takes no time."""

    honours = HONOURS_ALL
    batch_invariant = True

    def __init__(self, response: str = "A", *, batch_size: int | None = None) -> None:
        """Make a model that always answers `response`.

        Args:
            response: The answer; a number or truth value is said as text.
            batch_size: The largest batch that this model is given; None leaves it to the session.
        """
        self.max_batch = batch_size
        self._response = Response(text=str(response), finish_reason="stop")

    @property
    def identity(self) -> Mapping[str, Any]:
        """The answer is all there is."""
        return {"adapter": "Dummy", "response": self._response.text}

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Return one shared response as often as it is asked for."""
        return [self._response] * len(requests)

    def score(self, requests: Sequence[Request]) -> list[Response]:
        """Be certain of a continuation that is the constant, surrounding white space aside, and doubt any other."""
        return [score_text(self._response, request) for request in requests]
