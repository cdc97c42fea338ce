from pytest_lmms.tasks.prompts import instructed, letter_of, one_turn, option_lines


def test_instructions_go_around_a_question_and_may_miss():
    assert instructed("Why?", {"pre_prompt": "Q: ", "post_prompt": "\nBe brief."}) == "Q: Why?\nBe brief."
    assert instructed("Why?", {"post_prompt": None}) == "Why?"
    assert instructed("Why?", None) == "Why?"


def test_options_are_lettered_lines():
    assert option_lines(["red", 2]) == "A. red\nB. 2"
    assert letter_of(2) == "C"


def test_a_turn_has_its_images_before_its_text_and_the_system_before_both():
    system, user = one_turn(["a.png"], " Why? ", system="Think.")
    assert system == {"role": "system", "content": [{"type": "text", "text": "Think."}]}
    assert user["content"] == [{"type": "image", "url": "a.png"}, {"type": "text", "text": "Why?"}]
    assert len(one_turn([], "Why?")) == 1
