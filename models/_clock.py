"""When tokens come: time to first token, and time per token after it, of a local batch."""

from __future__ import annotations

import time
from typing import Any


class TokenClock:
    """Stopping criterion of transformers that stops nothing: it notes when each step of a batch ended.

    All rows of a batch get their token of a step at once, so they share the time to first token; a row's time per
    token is the mean over the steps during which it was still generating. On CUDA the device is waited for at every
    step; `generate` does so itself a moment later, when it asks whether all rows are done.
    """

    def __init__(self, started: float, device: Any) -> None:
        """Start.

        Args:
            started: `time.perf_counter` when the batch was taken up.
            device: torch device of the model.
        """
        self._started = started
        self._is_cuda = device.type == "cuda"
        self.steps: list[float] = []
        """Seconds from `started` to the end of each step."""

    def __call__(self, input_ids: Any, _scores: Any, **_: Any) -> Any:
        """Note the time; return a bool tensor (num_rows,) of False."""
        import torch

        if self._is_cuda:
            torch.cuda.synchronize(input_ids.device)
        self.steps.append(time.perf_counter() - self._started)
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

    def figures(self, num_steps: int) -> tuple[float | None, float | None]:
        """Return TTFT and TPOT in seconds of a row that generated for `num_steps` steps; None where there is none."""
        if not self.steps:
            return None, None
        last = min(num_steps, len(self.steps))
        per_token = (self.steps[last - 1] - self.steps[0]) / (last - 1) if last > 1 else None
        return self.steps[0], per_token
