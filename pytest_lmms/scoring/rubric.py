"""What a judge is asked about an answer, and how its reply is read: `rubric.yaml` beside a benchmark's tasks.

    version: 1
    system: You compare answers.
    prompt: |
      Question: {{question}}
      Gold answer: {{answer}}
      Given answer: <answer>{{response}}</answer>
    verdict:
      reason: {type: string}
      score: {type: number, minimum: 0, maximum: 1}
    reply: "{{score}}"

Names in double braces are columns of the document, `response`, `target`, `input` (the prompt's text), or one of
`values`, which gives other names to them. A part `reason` is what judges say before they decide. `reply` writes a
verdict as the words that the task's `judged(doc, results, reply)` reads. With `swap: {values: [a, b], verdict: [x, y]}`
the judge is asked in both orders; verdicts are turned back and their numbers averaged, or, with `keep: both`, `judged`
gets a list with a reply for each.

With `judged.only_unread` judges are asked only about answers that rules could not read; `judged.rubric` names another
file; `judged.prefix` is how the names of its metrics begin, where the task declares others that may be missing too.
"""

from __future__ import annotations

import functools
import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_lmms.errors import LmmsError, TaskError, explain
from pytest_lmms.scoring.reasoning import DEFAULT_TAGS, strip_reasoning

FILE = "rubric.yaml"
REASON = "reason"
"""The part of a verdict that is not voted on."""
MAX_REPLY = 100_000
"""Characters of a reply that are read."""
MAX_ATTEMPTS = 50
"""Places of a reply where a JSON object may begin."""
MAX_VALUE = 50_000
"""Characters of one value in a prompt."""
_NAME = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,),
}  # fmt: skip
_KEYS = {"version", "system", "prompt", "verdict", "reply", "values", "swap"}


class VerdictError(LmmsError):
    """A judge's reply that is no verdict; never a score."""


@dataclass(frozen=True)
class Swap:
    """Two values that change places, and two parts of the verdict that are then turned back."""

    values: tuple[str, str]
    verdict: tuple[str, str]
    keeps_both: bool = False


@dataclass(frozen=True)
class Rubric:
    """How answers of one benchmark are judged."""

    path: Path
    version: str
    prompt: str
    verdict: Mapping[str, Mapping[str, Any]]
    """Name of each part -> `type` (string, number, integer, boolean), `minimum`, `maximum`, `enum`."""
    reply: str
    system: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    swap: Swap | None = None

    @property
    def name(self) -> str:
        """Folder, file unless it is `rubric.yaml`, and version, for records: `mmvet@1`, `worldvqa/rubric_mc@1`."""
        file = "" if self.path.name == FILE else f"/{self.path.stem}"
        return f"{self.path.parent.name}{file}@{self.version}"

    @property
    def schema(self) -> dict[str, Any]:
        """The verdict as a JSON schema."""
        return {
            "type": "object",
            "properties": {name: dict(part) for name, part in self.verdict.items()},
            "required": list(self.verdict),
            "additionalProperties": False,
        }

    def prompts(self, document: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
        """What to ask: one text, or one for each order.

        Args:
            document: The dataset row.
            known: `response`, `target`, `input`.

        Raises:
            TaskError: A name that is no column.
        """
        values = {**document, **known}
        for name, source in self.values.items():
            if source not in values:
                raise self._unknown(source, values)
            values[name] = values[source]
        texts = [self._filled(self.prompt, values) + self._instruction()]
        if self.swap is not None:
            first, second = self.swap.values
            values[first], values[second] = values[second], values[first]
            texts.append(self._filled(self.prompt, values) + self._instruction())
        return texts

    def _instruction(self) -> str:
        return f"\n\nReply with one JSON object of this schema and nothing else:\n{json.dumps(self.schema)}"

    def _filled(self, text: str, values: Mapping[str, Any]) -> str:
        """Names replaced in one pass: braces in a value stay what they are, and a value cannot close a tag."""

        def value(match: re.Match[str]) -> str:
            if match[1] not in values:
                raise self._unknown(match[1], values)
            found = values[match[1]]
            shown = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, default=str)
            return re.sub(r"</(?=\w)", "< /", shown[:MAX_VALUE])

        return _NAME.sub(value, text)

    def _unknown(self, name: str, values: Mapping[str, Any]) -> TaskError:
        expected = "one of " + ", ".join(sorted(map(str, values)))
        return TaskError(explain(f"the rubric names {name!r}", where=str(self.path), expected=expected))

    # --- replies ------------------------------------------------------------------------------------------------

    def read(self, text: str) -> dict[str, Any]:
        """The one reader of judges' replies: the JSON object in it that is a verdict.

        Raises:
            VerdictError: There is none, or two that differ: a judge that repeats what the answer claims must not have
                the claim read for its own. The message says what is wrong with the nearest.
        """
        problem = "it holds no JSON object"
        verdicts: list[dict[str, Any]] = []
        said = strip_reasoning(text[:MAX_REPLY], DEFAULT_TAGS)
        if said.startswith(tuple(opening for opening, _ in DEFAULT_TAGS)):
            said, problem = "", "its thoughts do not end"
        for found in _objects(said):
            wrong = self._wrong(found)
            if wrong is None:
                verdicts.append({name: found[name] for name in self.verdict})
            else:
                problem = wrong
        if verdicts and all(_decided(each) == _decided(verdicts[0]) for each in verdicts):
            return verdicts[0]
        if verdicts:
            problem = f"it holds {len(verdicts)} that differ"
        shown = " ".join(text[:200].split())
        raise VerdictError(
            explain(f"a judge's reply that is no verdict: {problem}", where=f"{self.name}: {shown!r}",
                    expected=json.dumps(dict(self.verdict)))
        )  # fmt: skip

    def _wrong(self, found: Mapping[str, Any]) -> str | None:
        for name in self.verdict:
            if name not in found:
                return f"{name} is missing"
            if wrong := self.wrong_part(name, found[name]):
                return wrong
        return None

    def wrong_part(self, name: str, value: Any) -> str | None:
        """Say why a value is none of that part of the verdict; None when it is one."""
        part = self.verdict[name]
        kind, is_bool = part["type"], isinstance(value, bool)
        if not isinstance(value, _TYPES[kind]) or (is_bool and kind != "boolean"):
            return f"{name} is {str(value)[:50]!r}, not a {kind}"
        if isinstance(value, (int, float)) and not is_bool:
            low, high = part.get("minimum", -math.inf), part.get("maximum", math.inf)
            if not low <= value <= high or value in (math.inf, -math.inf):  # NaN is not within either
                return f"{name} is {str(value)[:50]}, not {low} to {high}"
        if "enum" in part and value not in part["enum"]:
            return f"{name} is {str(value)[:50]!r}, none of {part['enum']}"
        return None

    def turned_back(self, verdict: Mapping[str, Any]) -> dict[str, Any]:
        """A verdict on the swapped order, in terms of the first order."""
        if self.swap is None:
            return dict(verdict)
        first, second = self.swap.verdict
        return {**verdict, first: verdict[second], second: verdict[first]}

    def together(self, verdicts: Sequence[Mapping[str, Any]], *, fractions: bool = False) -> dict[str, Any]:
        """One verdict of several judges or orders: the median of numbers, all reasons, the most frequent of all else.

        Args:
            verdicts: Of each.
            fractions: Whether an integer may become one and a half: of two orders, not of two judges, whose verdict
                the task reads as a whole number.

        Raises:
            VerdictError: As many say one thing as another.
        """
        if len(verdicts) == 1:
            return dict(verdicts[0])
        found: dict[str, Any] = {}
        for name, part in self.verdict.items():
            values = [v[name] for v in verdicts]
            if part["type"] in ("number", "integer"):
                found[name] = statistics.median(values)
                if part["type"] == "integer" and not fractions and found[name] != int(found[name]):
                    raise self._tie(name, values)
            elif name == REASON:
                found[name] = "\n".join(values)
            else:
                ranked = Counter(values).most_common(2)
                if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
                    raise self._tie(name, values)
                found[name] = ranked[0][0]
        return found

    def _tie(self, name: str, values: Sequence[Any]) -> VerdictError:
        text = f"judges disagree on {name}: {values}"
        return VerdictError(explain(text, where=self.name, remedy="an odd number of judges"))

    def as_reply(self, verdict: Mapping[str, Any]) -> str:
        """A verdict in the words that the task's `judged` reads."""

        def value(match: re.Match[str]) -> str:
            found = verdict[match[1]]
            if isinstance(found, bool):
                return str(int(found))
            return str(int(found)) if isinstance(found, float) and found.is_integer() else str(found)

        return _NAME.sub(value, self.reply)


def _decided(verdict: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in verdict.items() if name != REASON}


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects in a text, from left to right; those inside others are not looked at."""
    decoder = json.JSONDecoder(object_pairs_hook=_without_contradiction, strict=False)
    at = text.find("{")
    for _ in range(MAX_ATTEMPTS):
        if at < 0:
            return
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(found, dict):
                yield found
        at = text.find("{", end)


def _without_contradiction(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names stand for one value each."""
    found = dict(pairs)
    if any(found[name] is not value and found[name] != value for name, value in pairs):
        raise ValueError("a name with two values")
    return found


def find_rubric(task_file: Path, name: str = FILE) -> Rubric | None:
    """The rubric of that file name beside a task's YAML, or None.

    Raises:
        TaskError: It cannot be read, or its form is wrong.
    """
    path = task_file.parent / name
    if not path.is_file():
        return None
    stat = path.stat()
    return _known_rubric(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=256)
def _known_rubric(path: Path, _mtime_ns: int, _size: int) -> Rubric:
    """Tasks of one folder share a rubric, which is read once."""
    return load_rubric(path)


def load_rubric(path: Path) -> Rubric:
    """Read a rubric.

    Raises:
        TaskError: It cannot be read, or its form is wrong; the message says which key.
    """
    import yaml

    from pytest_lmms.yamlbounds import load_plain

    try:
        content = load_plain(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as e:
        raise TaskError(explain(f"cannot be read: {e}", where=str(path))) from e
    if not isinstance(content, dict) or not {"version", "prompt", "verdict", "reply"} <= content.keys() <= _KEYS:
        expected = "version, prompt, verdict and reply; also system, values and swap"
        raise TaskError(explain("this is no rubric", where=str(path), expected=expected))
    verdict = content["verdict"]
    for name, part in verdict.items() if isinstance(verdict, dict) else [("verdict", None)]:
        if not isinstance(part, dict) or part.get("type") not in _TYPES:
            expected = "a mapping with a type: " + ", ".join(_TYPES)
            raise TaskError(explain(f"verdict: {name} is {part!r}", where=str(path), expected=expected))
    unknown = set(_NAME.findall(content["reply"])) - set(verdict)
    if unknown:
        expected = "parts of the verdict: " + ", ".join(verdict)
        raise TaskError(explain(f"reply names {', '.join(sorted(unknown))}", where=str(path), expected=expected))
    swap = content.get("swap")
    return Rubric(
        path=path,
        version=str(content["version"]),
        prompt=str(content["prompt"]).rstrip(),
        verdict=verdict,
        reply=str(content["reply"]),
        system=content.get("system"),
        values=content.get("values") or {},
        swap=None if swap is None else _swap(swap, path, verdict),
    )


def _swap(content: Any, path: Path, verdict: Mapping[str, Any]) -> Swap:
    try:
        (a, b), (x, y) = content["values"], content["verdict"]
        if not {x, y} <= verdict.keys():
            raise ValueError
    except (TypeError, KeyError, ValueError) as e:
        expected = "values: [a, b] and verdict: [x, y], two names of each; and keep: both"
        raise TaskError(explain(f"swap is {content!r}", where=str(path), expected=expected)) from e
    return Swap((str(a), str(b)), (str(x), str(y)), keeps_both=content.get("keep") == "both")
