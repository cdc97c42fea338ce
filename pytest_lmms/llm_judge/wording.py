"""What judges are asked when a task brings no prompt of its own, and how replies are read: by lmms-eval's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

BINARY = """Decide whether a response to a question agrees with the reference answer. Differences of wording, format or
unit do not matter; a wrong, missing or ambiguous result does.

Question: {question}

Reference answer: {answer}

Response: {prediction}

Reply with {positive} if it agrees and with {negative} if it does not, and with nothing else."""
COMPARATIVE = """Rate two responses to one question, from {low} (worst) to {high} (best), by how helpful, relevant,
accurate and detailed they are. Their order must not influence you.

{context}Question: {question}

First response: {response1}

Second response: {response2}

{instruction}
Write the two ratings on the first line, the first response's before the second's, with a blank between. Explain
them below."""
RUBRIC = """Rate a response by each item of a rubric.

Question: {question}

Response: {prediction}

Rubric:
{rubric}

Reply with one JSON object: item to rating."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class JudgePromptBuilder:
    """Prompts; a task's own is filled in with the same names."""

    @staticmethod
    def build_binary_prompt(
        question: str, answer: str, prediction: str, output_format: str = "0/1", custom_prompt: str | None = None,
        **kwargs: Any,
    ) -> str:  # fmt: skip
        """Ask whether a response is right."""
        named = {"question": question, "answer": answer, "prediction": prediction}
        if custom_prompt:
            return custom_prompt.format(pred=prediction, **named, **kwargs)
        positive, negative = ("1", "0") if output_format in ("0/1", "1/0") else ("Yes", "No")
        return BINARY.format(positive=positive, negative=negative, **named)

    @staticmethod
    def build_comparative_prompt(  # noqa: PLR0917 (lmms-eval's)
        question: str, response1: str, response2: str, context: str | None = None,
        score_range: tuple[float, float] = (1, 10), custom_prompt: str | None = None,
        evaluation_instruction: str | None = None, **kwargs: Any,
    ) -> str:  # fmt: skip
        """Ask for ratings of two responses."""
        named = {"question": question, "response1": response1, "response2": response2}
        if custom_prompt:
            return custom_prompt.format(context=context or "", **named, **kwargs)
        return COMPARATIVE.format(
            low=score_range[0], high=score_range[1], context=f"Context: {context}\n\n" if context else "",
            instruction=evaluation_instruction or "", **named,
        )  # fmt: skip

    @staticmethod
    def build_correctness_prompt(
        question: str, answer: str, prediction: str, output_format: str = "yes/no", **_: Any
    ) -> str:
        """Ask whether a response is right, for "yes" or "no"."""
        return JudgePromptBuilder.build_binary_prompt(question, answer, prediction, output_format)


class ResponseParser:
    """Replies to values."""

    @staticmethod
    def parse_binary_response(response: str, output_format: str = "0/1") -> int | bool:
        """Read 1 where a reply holds one anywhere, else 0; for words, whether it begins with yes."""
        response = response.strip().lower()
        return int("1" in response) if output_format in ("0/1", "1/0") else response.startswith("yes")

    @staticmethod
    def parse_score_response(response: str, score_range: tuple[float, float] | None = None) -> float:
        """Read the first number, brought into the range; its lower end, or 0, without any."""
        found = _NUMBER.search(response)
        if found is None:
            return score_range[0] if score_range else 0.0
        low, high = score_range or (float("-inf"), float("inf"))
        return max(low, min(float(found[0]), high))

    @staticmethod
    def parse_comparative_response(response: str) -> tuple[float, float]:
        """Read two numbers from the first line; (-1, -1) without them."""
        numbers = _NUMBER.findall(response.strip().split("\n", maxsplit=1)[0].replace(",", " ").replace(";", " "))
        return (float(numbers[0]), float(numbers[1])) if len(numbers) > 1 else (-1.0, -1.0)

    @staticmethod
    def parse_json_response(response: str) -> Mapping[str, Any]:
        """Read what is between the first and the last brace; empty where that is no JSON."""
        start, end = response.find("{"), response.rfind("}")
        try:
            found = json.loads(response[start : end + 1]) if 0 <= start < end else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
