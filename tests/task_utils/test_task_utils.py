"""The values were given by the functions of lmms-eval 0.7 for the same arguments."""

from types import SimpleNamespace

import pytest

from pytest_lmms.errors import TaskError
from pytest_lmms.task_utils import answers, files, filters, log, reasoning


@pytest.mark.parametrize(
    ("text", "answer", "boxed", "letter"),
    [
        ("<answer> B </answer>", " B ", "", "B"),
        (r"so \boxed{ 4 }", " 4 ", " 4 ", ""),
        ("hence\nthe sum is 4.5.", "4.5", "", ""),
        ("? Because", "", "", "B"),
        ("1 DaysA\n?", "", "", "A"),
    ],
)
def test_reasoned_answers_are_found_as_they_stand(text, answer, boxed, letter):
    assert reasoning.extract_anwser_tag(text) == answer
    assert reasoning.extract_boxed_answer(text) == boxed
    assert reasoning.parse_mcq(text) == letter


def test_a_reasoned_score_is_nine_parts_accuracy_and_one_part_format():
    text = "<think>two and two</think><answer>4</answer>"
    assert reasoning.compute_score("maths", text, "4.") == {
        "score": pytest.approx(1.0),
        "acc_score": 1.0,
        "format_reward_score": 1.0,
        "predict_str": "4",
        "ground_truth": "4",
    }
    assert reasoning.compute_score("maths", "<answer>5</answer>", "4")["score"] == 0.0


def test_functions_of_a_reasoned_task_are_made_of_its_own():
    to_messages = reasoning.make_reasoning_doc_to_messages(lambda doc: [doc["image"]], lambda doc, _: f" {doc['q']} ")
    system, user = to_messages({"image": "picture", "q": "How many?"})
    assert system["content"][0]["text"] == reasoning.DEFAULT_REASONING_SYSTEM_PROMPT
    assert user["content"] == [{"type": "image", "url": "picture"}, {"type": "text", "text": "How many?"}]
    score = reasoning.make_reasoning_process_results("maths", lambda doc, _: doc["q"], metrics_prefix="my_")
    assert score({"answer": 4}, ["<answer>4</answer>", "<answer>5</answer>"]) == {
        "my_acc_score": 0.5,
        "my_format_score": 0.0,
    }


def test_a_judge_inside_the_helpers_is_refused_and_not_left_out(monkeypatch):
    monkeypatch.setenv("USE_LLM_JUDGE", "True")
    with pytest.raises(TaskError, match="unset it"):
        reasoning.acc_reward("4", "5")


def test_options_and_short_answers_are_read_as_their_benchmarks_do():
    options, letters = answers.get_multi_choice_info(["a dog", "a cat"])
    assert (options, letters) == ({"A": "a dog", "B": "a cat"}, ["A", "B"])
    assert answers.parse_mmmu_multi_choice_response("It is (B), not A", letters, options) == "B"
    assert answers.parse_mmmu_multi_choice_response("no idea", letters, options) == ""
    assert answers.EvalAIAnswerProcessor()("The two dogs, dont!") == "2 dogs don't"


def test_similarity_of_texts_is_that_of_the_metric():
    assert answers.levenshtein_distance("kitten", "sitting") == 3
    assert answers.anls(["Kitten"], [["sitting"]]) == {"anls": pytest.approx(1 - 3 / 7)}
    assert answers.anls(["kitten"], ["dog"]) == {"anls": 0.0}


def test_submissions_go_below_the_output_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert files.generate_submission_file("a.json", SimpleNamespace(output_path=str(tmp_path / "out"))) == str(
        tmp_path / "out" / "submissions" / "a.json"
    )
    assert (tmp_path / "out" / "submissions").is_dir()
    assert files.generate_submission_file("a.json", None) == str(tmp_path / "submissions" / "a.json")


def test_templates_are_read_without_their_functions(tmp_path):
    (tmp_path / "_default_template_yaml").write_text("dataset_path: a/b\ndoc_to_text: !function utils.text\n")
    assert files.load_default_template_yaml(tmp_path / "mine.yaml") == {"dataset_path": "a/b"}


def test_videos_are_found_with_any_case_of_their_extension(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    folder = tmp_path / "mine" / "videos"
    folder.mkdir(parents=True)
    (folder / "7.MP4").touch()
    assert files.get_cache_dir({"dataset_kwargs": {"cache_dir": "mine"}}) == str(folder)
    assert files.get_video(str(folder), 7) == str(folder / "7.MP4")
    with pytest.raises(FileNotFoundError, match=r"8\.mp4"):
        files.get_video(str(folder), "8")


def test_filters_take_and_give_lists_over_documents():
    found = filters.RegexFilter(r"(\d+)", -1).apply([["1 2", "x"]], [{}])
    assert found == [["2", "[invalid]"]]
    choices = filters.MultiChoiceRegexFilter(r"\(([A-Z])\)", ignore_case=True).apply(
        [["a CAT"]], [{"choices": ["dog", "cat"]}]
    )
    assert choices == [["(B)"]]
    asked = {"question": "Which?\nA. dog\nB. cat"}
    assert filters.SimpleMultiChoiceRegexFilter().apply([["It is a cat."]], [asked]) == ["B"]
    assert filters.MapFilter({"yes": 1}, 0).apply([["yes", "no"]], [{}]) == [[1, 0]]


def test_a_filter_of_ones_own_finds_what_it_needs():
    class Mine(filters.ExtendedRegexFilter):
        def apply(self, resps, docs):
            return [
                [self.find_match(self.regex, self.filter_ignores(r), {"b": "B"}) or self.fallback for r in rs]
                for rs in resps
            ]

    mine = Mine(r"answer ([a-d])", ignore_case=True, ignore_punctuation=True, regexes_to_ignore=["<.*?>"])
    assert mine.apply([["ANSWER: <b>B!</b>", "none"]], [{}]) == [["B", "[invalid]"]]


def test_names_of_models_become_names_of_files():
    assert log.sanitize_model_name("a/b/c:d") == "b__c__d"
    assert log.sanitize_model_name("a/b*c", full_path=True) == "a__b__c"


def test_folders_are_named_by_variables_and_below_a_base(monkeypatch):
    monkeypatch.setenv("VIDEOS", "mine")
    assert log.resolve_cache_dir("$VIDEOS/a") == "mine/a"
    assert log.resolve_cache_dir("$VIDEOS", base_dir="/data") == "/data/mine"
    assert log.resolve_cache_dir("/elsewhere", base_dir="/data") == "/elsewhere"
