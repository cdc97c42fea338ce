"""A document becomes a request: text, choices, target, prompt variants, generation settings."""

from __future__ import annotations

import pytest

from pytest_lmms.errors import DocumentError, TaskError
from pytest_lmms.regexes import patterns
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.miniature import ListRows


@pytest.fixture
def make(tmp_path):
    """`make(yaml_text, code="")`: a task with those fields."""

    def make(text="", code=""):
        (tmp_path / "utils.py").write_text(code)
        path = tmp_path / "toy.yaml"
        path.write_text("task: toy\ndataset_path: json\ntest_split: train\n" + text)
        return load_task(path)

    return make


# --- string fields ------------------------------------------------------------------------------------------------


def test_a_string_is_a_column_where_there_is_one_and_else_a_template(make):
    task = make("doc_to_text: question\n")
    assert task.render_text({"question": "Why {{ this }}?"}) == "Why {{ this }}?"
    assert make('doc_to_text: "Q: {{question}}\\nA:"\n').render_text({"question": "Why?"}) == "Q: Why?\nA:"


def test_templates_have_regex_replace(make):
    task = make("""doc_to_text: "{{question|regex_replace('[0-9]+', '#')}}"\n""")
    assert task.render_text({"question": "a12b3"}) == "a#b#"


def test_an_expression_of_a_template_ends_whatever_a_row_says(make, monkeypatch):
    monkeypatch.setattr(patterns, "SECONDS", 0.1)
    process = patterns._Process()
    monkeypatch.setattr(patterns, "_process", lambda _: process)
    task = make("""doc_to_text: "{{question|regex_replace('(a+)+$', '#')}}"\n""")
    with pytest.raises(DocumentError, match=r"\(a\+\)\+\$' took more than 0.1 s on a text of 41 characters"):
        task.render(ListRows([{"question": "a" * 40 + "!"}]), 0)
    process.close()


def test_a_template_escapes_nothing_and_refuses_unknown_names(make):
    task = make("doc_to_text: '{{a}}{{b}}'\n")
    assert task.render_text({"a": "<&>", "b": ""}) == "<&>"
    rows = ListRows([{"a": "x"}])
    with pytest.raises(DocumentError, match="doc_to_text failed with UndefinedError: 'b' is undefined"):
        task.render(rows, 0)


def test_a_number_in_a_column_becomes_text(make):
    assert make("doc_to_text: n\n").render_text({"n": 3}) == "3"


# --- target and choices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "doc", "expected"),
    [
        ("doc_to_target: a\n", {"a": "3"}, "3"),
        ("doc_to_target: a\ndoc_to_choice: c\n", {"a": "3", "c": ["x"]}, "3"),
        ("doc_to_target: '{{a}}'\ndoc_to_choice: c\n", {"a": 1, "c": ["x"]}, 1),
        ("doc_to_target: a\n", {"a": "['x', 'y']"}, "['x', 'y']"),
        ("doc_to_target: '{{a}}'\n", {"a": "['x', 'y']"}, ["x", "y"]),
        ("doc_to_target: '{{a}}'\n", {"a": "[not, a list]"}, "[not, a list]"),
        ("doc_to_target: a\n", {"a": "[not, a list]"}, "[not, a list]"),
        ("doc_to_target: a\n", {"a": "[unclosed"}, "[unclosed"),
        ("doc_to_target: a\n", {"a": ["x"]}, ["x"]),
        ("doc_to_target: a\n", {"a": ""}, ""),
        ("doc_to_target: a\n", {"a": 7}, 7),
        ("doc_to_target: a\ndoc_to_choice: c\n", {"a": "²", "c": ["x"]}, "²"),
    ],
)
def test_what_a_target_becomes(make, text, doc, expected):
    value = make(text).target(doc)
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("doc_to_choice: c\n", ["x", "y"]),
        ("doc_to_choice: ['A', '{{d}}']\n", ["A", "z"]),
        ("doc_to_choice: '{{c}}'\n", ["x", "y"]),
        ('doc_to_choice: \'["{{d}}", "w"]\'\n', ["z", "w"]),
        ("doc_to_choice: {0: no, 1: 'yes'}\n", ["False", "yes"]),
        ("doc_to_choice: !function utils.f\n", ["z"]),
        ("", []),
    ],
)
def test_what_choices_become(make, text, expected):
    assert make(text, "def f(doc): return [doc['d']]\n").choices({"c": ["x", "y"], "d": "z"}) == expected


# --- prompt variants ----------------------------------------------------------------------------------------------

VARIANTS = """
doc_to_text: !function utils.f
lmms_eval_specific_kwargs:
  shared: base
  default: {pre: d, post: D}
  qwen_vl: {pre: q}
"""
SHOW = "def f(doc, kwargs): return repr(sorted((k, v) for k, v in kwargs.items() if isinstance(v, str)))\n"


def test_without_a_section_of_its_own_a_model_gets_default_over_the_whole(make):
    assert make(VARIANTS, SHOW).render_text({}) == "[('post', 'D'), ('pre', 'd'), ('shared', 'base')]"
    assert make(VARIANTS, SHOW).bind(model_names=("other",)).render_text({}) == make(VARIANTS, SHOW).render_text({})


def test_a_models_section_stands_alone(make):
    assert make(VARIANTS, SHOW).bind(model_names=("qwen_vl",)).render_text({}) == "[('pre', 'q')]"


def test_an_alias_of_the_model_chooses_its_section(make):
    assert make(VARIANTS, SHOW).bind(model_names=("qwen3", "qwen_vl")).render_text({}) == "[('pre', 'q')]"


def test_the_older_name_dataset_works_like_default(make):
    text = VARIANTS.replace("default:", "dataset:")
    assert make(text, SHOW).render_text({}) == "[('post', 'D'), ('pre', 'd'), ('shared', 'base')]"


def test_variants_without_sections_are_used_as_they_are(make):
    text = "doc_to_text: !function utils.f\nlmms_eval_specific_kwargs: {pre: p}\n"
    assert make(text, SHOW).bind(model_names=("m",)).render_text({}) == "[('pre', 'p')]"


def test_without_variants_a_function_gets_the_document_alone(make):
    assert make("doc_to_text: !function utils.f\n", "def f(doc): return 'alone'\n").render_text({}) == "alone"


def test_visuals_and_messages_get_variants_only_when_they_take_two_parameters(make):
    code = "def one(doc): return ['a.png']\ndef two(doc, kwargs): return [kwargs['pre'] + '.png']\n"
    text = "doc_to_text: q\nlmms_eval_specific_kwargs: {pre: p}\ndoc_to_visual: !function utils."
    assert make(text + "one\n", code).visuals({}) == ["a.png"]
    assert make(text + "two\n", code).visuals({}) == ["p.png"]


# --- generation settings ------------------------------------------------------------------------------------------


def test_a_task_without_settings_is_asked_greedily_and_no_stop_string_is_added(make):
    generation = make().generation
    assert generation.do_sample is False
    assert generation.until == ()
    assert generation.max_new_tokens is None


def test_settings_of_the_yaml_the_models_section_and_the_user_in_that_order(make):
    text = (
        "generation_kwargs: {max_new_tokens: 16, temperature: 0.5, top_p: 0.9}\n"
        "model_specific_generation_kwargs:\n  slow: {max_new_tokens: 32, temperature: 0.7}\n  default: {top_k: 4}\n"
    )
    task = make(text).bind(model_names=("slow",), generation_overrides={"temperature": 0.1}, seed=3)
    generation = task.generation
    assert (generation.max_new_tokens, generation.temperature, generation.top_p) == (32, 0.1, 0.9)
    assert (generation.top_k, generation.seed) == (None, 3)
    assert make(text).bind(model_names=("other",)).generation.top_k == 4


def test_other_spellings_mean_the_same_and_unknown_keys_are_handed_on(make):
    generation = make(
        'generation_kwargs: {max_gen_toks: 5, until: ["\\n", " "], image_aspect_ratio: original}\n'
    ).generation
    assert (generation.max_new_tokens, generation.until) == (5, ("\n", " "))
    assert generation.extra == {"image_aspect_ratio": "original"}


def test_one_stop_string_may_stand_without_a_list_and_null_means_unsaid(make):
    generation = make("generation_kwargs: {until: '</s>', temperature: null, max_new_tokens: '8'}\n").generation
    assert (generation.until, generation.temperature, generation.max_new_tokens) == (("</s>",), None, 8)


def test_the_users_other_spelling_replaces_the_yamls(make):
    task = make("generation_kwargs: {max_new_tokens: 5, until: [a]}\n")
    generation = task.bind(generation_overrides={"max_tokens": 9, "stop": "b"}).generation
    assert (generation.max_new_tokens, generation.until) == (9, ("b",))
    back = make("generation_kwargs: {max_gen_toks: 5}\n").bind(generation_overrides={"max_new_tokens": 9}).generation
    assert back.max_new_tokens == 9


def test_a_null_of_the_user_unsets_what_the_yaml_says(make):
    task = make("generation_kwargs: {temperature: 0.7}\n").bind(generation_overrides={"temperature": None})
    assert task.generation.temperature is None


def test_a_wrong_value_names_the_line(make):
    with pytest.raises(TaskError, match=r"toy\.yaml:4: generation settings"):
        make("generation_kwargs: {max_new_tokens: many}\n").generation  # noqa: B018


# --- a whole document ---------------------------------------------------------------------------------------------


def test_repeats_become_requests_that_differ_in_their_number_only(make):
    task = make("doc_to_text: q\nrepeats: 3\n")
    requests = task.render(ListRows([{"q": "a"}, {"q": "b"}]), 1).requests
    assert [(r.task, r.doc_id, r.repeat, r.text) for r in requests] == [("toy", 1, i, "b") for i in range(3)]


def test_doc_to_messages_wins_over_text_and_visuals(make):
    code = "def m(doc): return [{'role': 'user', 'content': 'from messages'}]\n"
    task = make("doc_to_text: q\ndoc_to_messages: !function utils.m\n", code)
    assert task.render(ListRows([{"q": "a"}]), 0).input == "from messages"


def test_a_visual_may_be_one_thing_none_or_a_column(make):
    code = "def one(doc): return 'a.png'\ndef none(doc): return None\n"
    assert make("doc_to_visual: !function utils.one\n", code).visuals({}) == ["a.png"]
    assert make("doc_to_visual: !function utils.none\n", code).visuals({}) == []
    assert make("doc_to_visual: img\n").visuals({"img": ["a.png", "b.png"]}) == ["a.png", "b.png"]


def test_an_error_in_a_function_names_it_the_document_and_the_line(make):
    task = make("doc_to_text: q\ndoc_to_visual: !function utils.f\n", "def f(doc):\n    return [doc['image']]\n")
    with pytest.raises(DocumentError) as caught:
        task.render(ListRows([{"q": "a"}]), 0)
    text = str(caught.value)
    assert "toy.yaml::toy[0]: doc_to_visual failed with KeyError: 'image'" in text
    assert "utils.py:2" in text
    assert "columns q" in text


def test_an_error_is_told_alike_by_every_process_wherever_its_objects_lie(make):
    task = make("doc_to_text: !function utils.f\n", "def f(doc):\n    raise ValueError(f'{object()} of {doc}')\n")
    with pytest.raises(DocumentError, match=r"failed with ValueError: <object object> of {'q': 'at 0xff'} \("):
        task.render(ListRows([{"q": "at 0xff"}]), 0)


def test_a_bad_example_is_told_apart_from_the_document_that_it_stands_before(make):
    task = make(
        "doc_to_text: !function utils.f\ndoc_to_target: a\nnum_fewshot: 1\nfewshot_config: {samples: [{a: x}]}\n",
        "def f(doc):\n    return doc['q']\n",
    ).with_examples()
    with pytest.raises(DocumentError) as caught:
        task.render(ListRows([{"q": "which?", "a": "x"}]), 0)
    text = str(caught.value)
    assert text.startswith("toy.yaml::toy[0]: doc_to_text: few-shot example 0 failed with KeyError: 'q' (")
    assert text.endswith("the example has the columns a")


def test_a_document_without_choices_cannot_be_asked_which(make):
    task = make("output_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: c\n")
    with pytest.raises(DocumentError, match=r"toy.yaml::toy\[0\]: doc_to_choice: the document has no choices"):
        task.render(ListRows([{"q": "which?", "c": []}]), 0)


def test_rendering_a_document_changes_no_other(make):
    code = "def f(doc):\n    doc['q'] = doc['q'] + '!'\n    return doc['q']\n"
    task = make("doc_to_text: !function utils.f\ndoc_to_target: q\n", code)
    rows = ListRows([{"q": "a"}])
    assert task.render(rows, 0).input == "a!"
    assert task.render(rows, 0).input == "a!"
