"""Models of other installed packages: a distribution on the path, with its entry points, is all it takes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pytest_lmms.errors import UsageError
from pytest_lmms.registry import Registry

OURS = """
from pytest_lmms.records import Response

class Parrot:
    batch_invariant = True

    def __init__(self, word="Yes"):
        self.word = word

    def generate(self, requests):
        return [Response(text=self.word) for _ in requests]
"""

THEIRS = """
from dataclasses import dataclass

@dataclass(frozen=True)
class ModelManifest:
    model_id: str
    simple_class_path: str = None
    chat_class_path: str = None
    aliases: tuple = ()

@dataclass
class Result:
    text: str
    token_counts: object = None

class Chat:
    "Answers with what it was shown."
    is_simple = False

    def __init__(self, pretrained="none", batch_size=1):
        self.task_dict = {}

    def generate_until(self, requests):
        results = []
        for request in requests:
            context, doc_to_messages, settings, doc_id, task, split = request.args
            messages = doc_to_messages(self.task_dict[task][split][doc_id])
            shown = [c["type"] if c["type"] != "image" else c["url"].size for m in messages for c in m["content"]]
            text = f"{[m['role'] for m in messages]} {shown} {settings.get('max_new_tokens')} {settings.get('until')}"
            results.append(Result(text, {"input_tokens": 3, "output_tokens": 1}))
        return results

class Simple:
    is_simple = True

    def generate_until(self, requests):
        return []

def manifests():
    return [
        ModelManifest("their_chat", chat_class_path="their_models.Chat", aliases=("theirs",)),
        ModelManifest("their_simple", simple_class_path="their_models.Simple"),
        ModelManifest("dummy", chat_class_path="their_models.Chat"),
    ]

wrong = [1]
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of installed packages."""
    (tmp_path / "our_models.py").write_text(OURS)
    (tmp_path / "their_models.py").write_text(THEIRS)
    for name, entries in {
        "ours": "[pytest_lmms.models]\nparrot = our_models:Parrot\nbroken = nothing\n",
        "theirs": "[lmms_eval.models]\nall = their_models:manifests\nwrong = their_models:wrong\nlost = no_such:x\n",
    }.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(entries)
    return tmp_path


def run_python(code: str, path: Path) -> str:
    prologue = f"import sys, warnings\nsys.path.insert(0, {str(path)!r})\nwarnings.simplefilter('always')\n"
    done = subprocess.run(
        [sys.executable, "-c", prologue + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_an_installed_package_brings_a_model_that_is_imported_when_it_is_used(installed):
    said = run_python(
        """
        from pytest_lmms.registry import MODELS
        assert "parrot" in MODELS.names()
        print("imported", "our_models" in sys.modules)
        print(MODELS.load("parrot")("Hello").generate([1, 2]))
        """,
        installed,
    )
    assert "imported False" in said
    assert said.count("text='Hello'") == 2


def test_a_name_that_is_nearly_right_is_suggested_from_those_of_installed_packages(installed):
    said = run_python(
        """
        from pytest_lmms.registry import MODELS
        try:
            MODELS.canonical("parott")
        except Exception as error:
            print(error)
        """,
        installed,
    )
    assert "did you mean: parrot?" in said


def test_entry_points_that_are_wrong_are_told_and_left_out(installed):
    said = run_python(
        "from pytest_lmms.registry import MODELS\nprint(MODELS.load('dummy').__module__)\nMODELS.names()", installed
    )
    assert "models.dummy" in said.splitlines()[0]
    assert "ours: its models are left out (pytest_lmms.models: broken = nothing)" in said
    assert (
        "theirs: its models are left out (lmms_eval.models: wrong = their_models:wrong): 1 is no ModelManifest" in said
    )
    assert "lost = no_such:x): No module named 'no_such'" in said
    assert "there is a model 'dummy' already" in said


def test_a_chat_model_of_lmms_eval_is_given_messages_and_settings(installed):
    said = run_python(
        """
        from PIL import Image
        from pytest_lmms.records import Generation, MediaRef, Message, Request
        from pytest_lmms.model_args import check_model_args
        from pytest_lmms.registry import MODELS

        adapter = MODELS.load("theirs")
        check_model_args(adapter, {"pretrained": "x"}, model_name="theirs")
        try:
            check_model_args(adapter, {"pretraned": "x"}, model_name="theirs")
        except Exception as error:
            print(error)
        image = MediaRef(kind="image", content=Image.new("RGB", (8, 6)))
        requests = [
            Request(
                task="t", doc_id=doc_id, repeat=repeat, generation=Generation(max_new_tokens=repeat + 5, until=("Q",)),
                messages=(Message(role="system", content=("s",)), Message(role="user", content=(image, "what?"))),
            )
            for doc_id, repeat in ((0, 0), (1, 0), (0, 1))
        ]
        for response in adapter(pretrained="x").generate(requests):
            print(response.text, response.tokens.as_list)
        """,
        installed,
    )
    assert "did you mean: pretrained?" in said
    expected = "['system', 'user'] ['text', (8, 6), 'text'] {} ['Q'] [3, 1, None]"
    assert [line for line in said.splitlines() if line.startswith("['system'")] == [
        expected.format(n) for n in (5, 5, 6)
    ]


def test_a_simple_model_of_lmms_eval_is_refused_with_the_reason(installed):
    said = run_python(
        """
        from pytest_lmms.registry import MODELS
        try:
            MODELS.canonical("their_simple")
        except Exception as error:
            print(error)
        """,
        installed,
    )
    assert "'their_simple' (their_models.Simple) is a simple model of lmms-eval" in said
    assert "expected: a chat model (is_simple = False)" in said


def test_a_run_uses_an_installed_model(installed):
    benchmarks = Path(__file__).parents[1] / "benchmarks"
    for name in ("parrot", "their_chat"):
        said = run_python(
            f"""
            import pytest
            arguments = ["-p", "no:cacheprovider", "--lmms-data", "mini", "--lmms-output-path", {str(installed)!r}]
            print("ended with", int(pytest.main([{str(benchmarks / "mme")!r}, "--lmms-model", {name!r}, *arguments])))
            """,
            installed,
        )
        assert "ended with 0" in said, said


def test_others_names_are_looked_for_once_and_only_for_names_that_are_unknown_without():
    calls = []

    def first(registry):
        calls.append(1)
        registry.register("late", "module:Late")

    registry = Registry("model", listing="list", discover=[first, lambda _: calls.append(2)])
    registry.register("early", "module:Early")
    assert registry.canonical("early") == "early"
    assert not calls
    assert registry.canonical("late") == "late"
    assert calls == [1]
    with pytest.raises(UsageError, match="unknown model"):
        registry.canonical("never")
    assert registry.names() == ["early", "late"]
    assert calls == [1, 2]
