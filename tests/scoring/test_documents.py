from PIL import Image

from pytest_lmms.scoring.documents import (
    answers_of,
    document_prompt,
    edit_similarity,
    has_right_letter,
    options_of,
    pages_of,
    question_of,
)


def test_a_question_is_the_first_column_that_holds_something_answers_are_the_first_column_there_is():
    assert question_of({"question": " ", "query": " Why? ", "text": "no"}) == "Why?"
    assert question_of({"text": "Why?"}, columns=("question",)) == ""
    assert answers_of({"answers": None, "answer": 7}) == []
    assert answers_of({"answer": 7, "target": "b"}) == ["7"]
    assert answers_of({"answers": ["a", " ", 2019]}) == ["a", "2019"]
    assert answers_of({}) == []


def test_options_are_texts_or_mappings():
    assert options_of({"choices": [{"text": "red"}, {"option": "blue"}, " ", 3]}) == ["red", "blue", "3"]
    assert options_of({"options": "no list", "choices": ["red"]}) == []
    assert document_prompt({"query": "Which?", "choices": ["red"]}, {"post_prompt": "!"}) == "Which?\nA. red!"


def test_pages_are_pictures_or_bytes_single_ones_before_lists():
    page = Image.new("L", (4, 4))
    shown = pages_of({"image": page, "pages": [page, page]})
    assert [p.mode for p in shown] == ["RGB"] * 3
    assert pages_of({"image": None, "pages": [b"\x89PNG", "path.png"]}) == [b"\x89PNG"]


def test_similarity_is_that_of_the_longer_text():
    assert edit_similarity("abcd", "abcx") == 0.75
    assert edit_similarity("", "") == 1.0
    assert edit_similarity("", "a") == 0.0


def test_a_letter_counts_only_where_there_are_options():
    doc = {"options": ["red", "blue"], "answer": "B"}
    assert has_right_letter("it is (b)", doc)
    assert not has_right_letter("a b", doc)
    assert not has_right_letter("B", {"answer": "B"})
