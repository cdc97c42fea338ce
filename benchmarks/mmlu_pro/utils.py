"""MMLU-Pro: up to ten options, and answers that reason first."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pytest_lmms.scoring.choices import label_options
from pytest_lmms.scoring.filter_regex import MultiChoiceRegex

Doc = Mapping[str, Any]
REASONING_BEGINS = "A: Let's think step by step."
"""How the written reasoning of an example begins; the prompt ends with the same words."""


class OptionsRegex(MultiChoiceRegex):
    """The filter `multi_choice_regex` for rows whose texts stand in `options`."""

    column = "options"


def mmlu_pro_doc_to_text(doc: Doc) -> str:
    """Return question, lettered options, and the beginning of the reasoning."""
    options = [f"{letter}. {option}" for letter, option in label_options(doc["options"]).items()]
    return "\n".join(["Question:", doc["question"], "Options:", *options, "Answer: Let's think step by step."])


def mmlu_pro_doc_to_target(doc: Doc) -> str:
    """Return the right letter; of a row with written reasoning, an example, the rest of that."""
    written = str(doc.get("cot_content") or "").removeprefix(REASONING_BEGINS).strip()
    return written or str(doc["answer"])


def rows_of(dataset: Any, category: str) -> Any:
    """Keep the questions of one category."""
    return dataset.filter(lambda said: said == category, input_columns=["category"])


biology = partial(rows_of, category="biology")
business = partial(rows_of, category="business")
chemistry = partial(rows_of, category="chemistry")
computer_science = partial(rows_of, category="computer science")
economics = partial(rows_of, category="economics")
engineering = partial(rows_of, category="engineering")
health = partial(rows_of, category="health")
history = partial(rows_of, category="history")
law = partial(rows_of, category="law")
math = partial(rows_of, category="math")
other = partial(rows_of, category="other")
philosophy = partial(rows_of, category="philosophy")
physics = partial(rows_of, category="physics")
psychology = partial(rows_of, category="psychology")
