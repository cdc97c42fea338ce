"""`check_model`: each fault of an adapter is found and named; an adapter without faults passes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from pytest_lmms.errors import ModelError
from pytest_lmms.records import Response, TokenCounts
from pytest_lmms.testing import ScriptedModel, check_model


def text_for(request):
    """Words of a request, as an answer that differs from request to request."""
    text = f"{len(request.media)} {request.text[::-1]}"
    for stop in request.generation.until:
        text = text.partition(stop)[0]
    return text


def answer(request):
    tokens = TokenCounts(input_tokens=7, output_tokens=min(4, request.generation.max_new_tokens))
    return Response(text=text_for(request), finish_reason="stop", tokens=tokens)


class Good:
    def __init__(self, word="x"):
        self.word = word

    def generate(self, requests):
        return [answer(r) for r in requests]


class GoodAsync:
    async def generate(self, request):
        return answer(request)


class Prepared:
    def generate(self, requests):
        raise AssertionError("an adapter that prepares is not asked this way")

    def prepare(self, requests):
        return [answer(r) for r in requests]

    def generate_prepared(self, prepared, requests):
        return prepared


@pytest.mark.parametrize("adapter", [Good, GoodAsync, Prepared])
def test_an_adapter_without_faults_passes_and_what_it_answers_is_told(adapter):
    findings = check_model(adapter)
    assert findings.problems == []
    assert findings.refused == {}
    assert findings.taken == ["text", "system message", "image", "several images", "video", "audio"]


def test_a_kind_of_media_that_is_refused_is_no_fault():
    class Deaf(Good):
        def generate(self, requests):
            if any(m.kind == "audio" for r in requests for m in r.media):
                raise ModelError("no sound, please")
            return super().generate(requests)

    findings = check_model(Deaf)
    assert findings.problems == []
    assert findings.refused == {"audio": "no sound, please"}


class OneTooFew(Good):
    def generate(self, requests):
        return super().generate(requests)[: max(1, len(requests) - 1)]


class Sorted(Good):
    def generate(self, requests):
        return super().generate(sorted(requests, key=lambda r: len(r.text)))


class Padded(Good):
    def generate(self, requests):
        return [replace(a, text=a.text + "!" * (len(requests) > 1)) for a in super().generate(requests)]


class Texts(Good):
    def generate(self, requests):
        return [a.text for a in super().generate(requests)]


class Tuple(Good):
    def generate(self, requests):
        return tuple(super().generate(requests))


class Talkative(Good):
    def generate(self, requests):
        return [replace(a, tokens=TokenCounts(output_tokens=500)) for a in super().generate(requests)]


class Estimates(Good):
    def generate(self, requests):
        return [replace(a, tokens=TokenCounts(input_tokens=2.5)) for a in super().generate(requests)]


class Unstoppable(Good):
    def generate(self, requests):
        return [answer(replace(r, generation=replace(r.generation, until=()))) for r in requests]


class Long(Good):
    def generate(self, requests):
        return [replace(a, tokens=TokenCounts(output_tokens=4)) for a in super().generate(requests)]


class Swallows(Good):
    def __init__(self, **kwargs):
        super().__init__()


class Breaks(Good):
    def generate(self, requests):
        if any(m.kind == "video" for r in requests for m in r.media):
            raise KeyError("video")
        return super().generate(requests)


class Reason(Good):
    def generate(self, requests):
        return [replace(a, finish_reason="done") for a in super().generate(requests)]


class Scores(Good):
    def score(self, requests):
        return [Response(text="", logprob=0.5, is_greedy=True) for _ in requests]


class Identity(Good):
    @property
    def identity(self):
        return {"weights": object()}


class Drifting(Good):
    @property
    def identity(self):
        return {"now": random.random()}


class NotStarting(Good):
    def start(self):
        raise OSError("no device")


class Nothing:
    pass


class Unbuilt:
    def __init__(self):
        raise ValueError("no weights")


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        (OneTooFew, "a batch of texts: generate returned 2 answers; expected a list of 3"),
        (Sorted, "the answers come in another order than the requests"),
        (Padded, "a batch of texts: 3 answer(s) are not those to the same requests alone"),
        (Texts, "the answer is of type str; expected pytest_lmms.records.Response"),
        (Tuple, "generate returned 1 answers; expected a list"),
        (Talkative, "500 output tokens although max_new_tokens is 8"),
        (Estimates, "token counts are [2.5, None, None]"),
        (Unstoppable, "asked to stop at"),
        (Long, "asked for one token, it counts 4"),
        (Swallows, "the constructor takes an_argument_that_no_model_has=1 and drops it"),
        (Breaks, "asked with video, it raises KeyError: 'video'; expected an answer, or a ModelError"),
        (Reason, "finish_reason is 'done'"),
        (Scores, "score returns logprob=0.5"),
        (Identity, "identity is not JSON"),
        (Drifting, "identity changes from one reading to the next"),
        (NotStarting, "raises OSError: no device"),
        (Nothing, "Nothing has no method generate"),
        (Unbuilt, "cannot be built: ValueError: no weights"),
    ],
)
def test_a_fault_is_found_and_named(adapter, said):
    problems = check_model(adapter).problems
    assert any(said in problem for problem in problems), problems


def test_an_adapter_may_say_that_its_batches_change_rounding():
    class Honest(Padded):
        batch_invariant = False

    assert check_model(Honest).problems == []


def test_a_factory_may_be_any_function():
    assert check_model(lambda: ScriptedModel(lambda request: request.text[-1])).problems == []


def test_the_tiny_model_has_no_faults():
    pytest.importorskip("transformers", reason="transformers is not installed")
    from pytest_lmms.registry import MODELS

    findings = check_model(MODELS.load("tiny_vlm"))
    assert findings.problems == []
    assert {"text", "image", "several images", "video"} <= set(findings.taken)
    assert "audio" in findings.refused
