"""Short answers and options: `mmmu_mcq_utils`, `vqa_eval_metric`, and what task files take from `api.metrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_lmms.scoring.choices import read_letter
from pytest_lmms.scoring.metrics import text
from pytest_lmms.scoring.vqa import normalise_answer


def get_multi_choice_info(options: Iterable[str], start_chr: str = "A") -> tuple[dict[str, str], list[str]]:
    """Name options by letters, the first by `start_chr`.

    Returns:
        Letter -> option text, and the letters.
    """
    options_by_letter = {chr(ord(start_chr) + position): option for position, option in enumerate(options)}
    return options_by_letter, list(options_by_letter)


def parse_mmmu_multi_choice_response(response: str, all_choices: Sequence[str], index2ans: Mapping[str, str]) -> str:
    """Return the letter that a response chooses by MMMU's rules; see `scoring.choices.read_letter`.

    Args:
        response: The model's answer.
        all_choices: The letters.
        index2ans: Letter -> option text.

    Returns:
        The letter; ``""``, which is no option, where lmms-eval draws one at random.
    """
    return read_letter(response, {letter: index2ans[letter] for letter in all_choices}) or ""


class EvalAIAnswerProcessor:
    """Brings short answers into the form in which the VQA challenge compares them."""

    def __init__(self, *_args: object, **_settings: object) -> None:
        """Take any arguments; none is read."""

    def __call__(self, item: str) -> str:
        """See `scoring.vqa.normalise_answer`."""
        return normalise_answer(item)


def levenshtein_distance(s1: Sequence[str], s2: Sequence[str]) -> int:
    """Return the smallest number of changed, left-out and added characters."""
    from rapidfuzz.distance import Levenshtein

    return int(Levenshtein.distance(s1, s2))


def anls(references: Sequence[str], predictions: Sequence[str], thresh_hold: float = 0.5) -> dict[str, float]:
    """Return ``{"anls": similarity}`` of the first answer to the nearest reference; see `scoring.metrics.text.anls`.

    Args:
        references: The right answers.
        predictions: The model's answers, or a list that holds their list.
        thresh_hold: Similarities below it become 0.
    """
    nested = bool(predictions) and not isinstance(predictions[0], str)
    answers = list(predictions[0]) if nested else predictions
    return {"anls": text.anls(references=references, predictions=answers, thresh_hold=thresh_hold)}
