"""Scores from log-probabilities: tasks whose `output_type` is multiple_choice or loglikelihood.

Pure arithmetic on what a model said about each continuation. Log-probabilities are natural
logarithms, so larger is better; lmms-eval's adapters give losses and take the smallest, which is
the same choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pytest_lmms.errors import DocumentError, explain

LOGPROB_METRICS = {
    "loglikelihood": ("acc", "perplexity"),
    "multiple_choice": ("acc", "acc_norm", "acc_mutual_info", "brier_score", "exact_match", "f1", "mcc"),
}
"""What log-probabilities tell, by output type."""
NO_GOLD = -100
"""Stands for a gold answer that is none of the choices; no prediction equals it."""


def score_choices(
    logprobs: Sequence[float],
    choices: Sequence[str],
    gold: int | str | Sequence[int | str],
    *,
    is_greedy: Sequence[bool] | None = None,
    unconditional_logprobs: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Score one document from the log-probability of each choice.

    Ties go to the first choice. A gold answer that is none of the choices makes every score 0.

    Args:
        logprobs: Natural log of each choice's probability after the prompt.
        choices: The texts, in the same order.
        gold: Index or text of the right choice, or several of them.
        is_greedy: Whether greedy decoding would have said the choice, in the same order.
        unconditional_logprobs: The same as `logprobs` without the prompt.

    Returns:
        By metric name. `acc`: the choice with the largest log-probability is right. `acc_norm`: the
        same with log-probabilities divided by the number of characters. `f1` and `mcc`: (gold
        index, predicted index), to be aggregated. `brier_score`: (gold index, probabilities that
        sum to 1). With `is_greedy`, `exact_match`: greedy decoding gives the right choice. With
        `unconditional_logprobs`, `acc_mutual_info`: the choice that gains most by the prompt is
        right.

    Raises:
        DocumentError: There is no choice, not one number for each, or no gold answer.
    """
    for name, values in (
        ("log-probabilities", logprobs),
        ("greedy flags", is_greedy),
        ("unconditional log-probabilities", unconditional_logprobs),
    ):
        if not choices or (values is not None and len(values) != len(choices)):
            found = 0 if values is None else len(values)
            raise DocumentError(explain(f"{found} {name} for {len(choices)} choices", expected="one for each choice"))
    golds = _gold_indices(gold, choices)
    first_gold = golds[0] if golds else NO_GOLD
    predicted = _argmax(logprobs)
    # An empty choice has no characters; one is as good as any other number that is not zero.
    by_length = [logprob / max(len(c), 1) for logprob, c in zip(logprobs, choices, strict=True)]
    scores: dict[str, Any] = {
        "acc": float(predicted in golds),
        "acc_norm": float(_argmax(by_length) in golds),
        "f1": (first_gold, predicted),
        "mcc": (first_gold, predicted),
        "brier_score": (first_gold, _softmax(logprobs)),
    }
    if is_greedy is not None:
        scores["exact_match"] = float(any(is_greedy[i] for i in golds if i != NO_GOLD))
    if unconditional_logprobs is not None:
        gains = [a - b for a, b in zip(logprobs, unconditional_logprobs, strict=True)]
        scores["acc_mutual_info"] = float(_argmax(gains) in golds)
    return scores


def score_continuation(logprob: float, *, is_greedy: bool) -> dict[str, float]:
    """Score one document of output type loglikelihood.

    Args:
        logprob: Natural log of the target's probability after the prompt.
        is_greedy: Whether greedy decoding would have said the target.

    Returns:
        `perplexity`: the log-probability, to be aggregated; `acc`: 1 if greedy decoding says the
        target.
    """
    return {"perplexity": logprob, "acc": float(is_greedy)}


def _gold_indices(gold: Any, choices: Sequence[str]) -> list[int]:
    golds = list(gold) if isinstance(gold, (list, tuple)) else [gold]
    return [_gold_index(one, choices) for one in golds]


def _gold_index(gold: Any, choices: Sequence[str]) -> int:
    if isinstance(gold, str):
        return list(choices).index(gold) if gold in choices else NO_GOLD
    if gold is None:
        raise DocumentError(explain("the gold answer is null", expected="the number or the text of a choice"))
    return int(gold) if 0 <= int(gold) < len(choices) else NO_GOLD


def _argmax(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def _softmax(logprobs: Sequence[float]) -> list[float]:
    largest = max(logprobs)
    if math.isinf(largest):
        return [1 / len(logprobs)] * len(logprobs)
    weights = [math.exp(logprob - largest) for logprob in logprobs]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
