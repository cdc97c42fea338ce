import pytest

from pytest_lmms.scoring.captions import bleu, cider, rouge_l, tokenize


def test_tokens_are_lower_case_words_with_contractions_split_and_no_punctuation():
    assert tokenize("The dog's ball, isn't it?") == ["the", "dog", "'s", "ball", "is", "n't", "it"]
    assert tokenize("a black-and-white photo; so what?") == ["a", "black-and-white", "photo", "so", "what"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [  # what Stanford's tokenizer, as COCO's evaluation calls it, makes of them
        ("a photo (1990)", "a photo -lrb- 1990 -rrb-"),
        ("[red shirt]", "-lsb- red shirt -rsb-"),
        ("U.S. flag, e.g. the U.S.A", "u.s. flag e.g. the u.s.a"),
        ("Mr. Smith at 7 p.m. etc.", "mr. smith at 7 p.m. etc."),
        ("it cannot be, I'm gonna see", "it can not be i 'm gon na see"),
        ("\u201ccurly\u201d it\u2019s \u2014 so", "curly it 's so"),
        ("why?! at 12:30 for \u20ac5 or 3,000", "why ?! at 12:30 for $ 5 or 3,000"),
        ("rock'n'roll in C++ </s>", "rock 'n' roll in c++ </s>"),
        ("**bold** -5 1st 1/2", "** bold ** -5 1st 1/2"),
        ("## A dog\n### **Photo** #1 @@", "## a dog ### ** photo ** # 1 @@"),
        ("a 3-D film, 10-15 people, 9-to-5", "a 3-d film 10-15 people 9-to-5"),
        ("sign No. 5, no.", "sign no. 5 no"),
        ("C# and F#, C++ a++", "c# and f# c++ a + +"),
        ("\U0001f60e x\u00b2 \u00aboui\u00bb", "x \u00b2 oui"),
        ("a_b _cat_ ~~no~~ &lt;b&gt; &amp;", "a_b _ cat _ ~ ~ no ~ ~ < b > &"),
    ],
)
def test_tokens_are_those_of_cocos_evaluation(text, tokens):
    assert tokenize(text) == tokens.split()


CORPUS = [
    (tokenize("a red bus on the street"), [tokenize("a red bus on the street"), tokenize("bus")]),
    (tokenize("two dogs play in snow"), [tokenize("two dogs play in snow")]),
]


def test_a_caption_equal_to_a_reference_earns_everything():
    assert bleu(CORPUS) == pytest.approx([1.0] * 4)
    assert rouge_l(CORPUS) == pytest.approx(1.0)
    assert cider([*CORPUS[1:], (["x"], [["y"]])]) == pytest.approx(5.0)


def test_an_empty_or_foreign_caption_earns_nothing():
    nothing = [([], [["a", "dog"]]), (["猫"], [["a", "dog"]])]
    assert max(bleu(nothing)) < 1e-3
    assert rouge_l(nothing) == 0.0
    assert cider(nothing) == 0.0


def test_a_short_caption_pays_for_its_brevity():
    [whole, half] = [
        bleu([(tokenize(c), [tokenize("a red bus on the street")])])[0]
        for c in ("a red bus on the street", "a red bus")
    ]
    assert half == pytest.approx(whole * 2.718281828 ** (1 - 2))
