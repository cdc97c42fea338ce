"""A response store that several runs share: `--lmms-cache DIR`, beside the run's own.

What is found there is given out, and what the model says is added, so that runs with the same model, prompts and
settings ask nothing twice. Sampled responses stay in their run: another run is meant to draw anew.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytest_lmms.inference.cache import ResponseStore, is_sampled
from pytest_lmms.records import Response


class SharedStore(ResponseStore):
    """A run's own store, with another one behind it.

    Args:
        own: Of this run; read as far as it allows.
        shared: Of all runs.
    """

    def __init__(self, own: ResponseStore, shared: ResponseStore) -> None:
        self.own = own
        self.shared = shared
        self.damaged = [*own.damaged, *shared.damaged]

    def __len__(self) -> int:
        """How many responses can be given out."""
        return len(self.own) + len(self.shared)

    @property
    def num_hits(self) -> int:  # type: ignore[override]
        """How many have been given out."""
        return self.own.num_hits + self.shared.num_hits

    def get(self, key: str) -> Response | None:
        """The response of this run, else of another; None without one."""
        found = self.own.get(key)
        return self.shared.get(key) if found is None and not is_sampled(key) else found

    def put(self, entries: Iterable[tuple[str, Response]]) -> None:
        """Write the responses of one batch to both."""
        entries = list(entries)
        self.own.put(entries)
        self.shared.put([(key, response) for key, response in entries if not is_sampled(key)])

    def close(self) -> None:
        """Close both."""
        self.own.close()
        self.shared.close()
