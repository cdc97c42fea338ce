"""Normalising short answers as the VQA challenge does, and its accuracy against several people's answers.

The order of steps and their oddities are those of the evaluation code that published numbers were made with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from statistics import fmean

PUNCTUATION = tuple(';/[]"{}()=+\\_-><@`,?!')
"""Marks that are deleted or become a space; see `replace_punctuation`."""
MAX_FULL_STOPS = 32
"""No more full stops than these are removed from one answer."""
NUMBER_WORDS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
ARTICLES = frozenset({"a", "an", "the"})
CONTRACTIONS = dict(
    pair.split("=")
    for pair in """
    aint=ain't arent=aren't cant=can't couldve=could've couldnt=couldn't couldn'tve=couldn't've
    couldnt've=couldn't've didnt=didn't doesnt=doesn't dont=don't hadnt=hadn't hadnt've=hadn't've
    hadn'tve=hadn't've hasnt=hasn't havent=haven't hed=he'd hed've=he'd've he'dve=he'd've hes=he's howd=how'd
    howll=how'll hows=how's Id've=I'd've I'dve=I'd've Im=I'm Ive=I've isnt=isn't itd=it'd itd've=it'd've
    it'dve=it'd've itll=it'll let's=let's maam=ma'am mightnt=mightn't mightnt've=mightn't've
    mightn'tve=mightn't've mightve=might've mustnt=mustn't mustve=must've neednt=needn't notve=not've
    oclock=o'clock oughtnt=oughtn't ow's'at='ow's'at 'ows'at='ow's'at 'ow'sat='ow's'at shant=shan't
    shed've=she'd've she'dve=she'd've she's=she's shouldve=should've shouldnt=shouldn't
    shouldnt've=shouldn't've shouldn'tve=shouldn't've somebody'd=somebodyd somebodyd've=somebody'd've
    somebody'dve=somebody'd've somebodyll=somebody'll somebodys=somebody's someoned=someone'd
    someoned've=someone'd've someone'dve=someone'd've someonell=someone'll someones=someone's
    somethingd=something'd somethingd've=something'd've something'dve=something'd've somethingll=something'll
    thats=that's thered=there'd thered've=there'd've there'dve=there'd've therere=there're theres=there's
    theyd=they'd theyd've=they'd've they'dve=they'd've theyll=they'll theyre=they're theyve=they've twas='twas
    wasnt=wasn't wed've=we'd've we'dve=we'd've weve=we've werent=weren't whatll=what'll whatre=what're
    whats=what's whatve=what've whens=when's whered=where'd wheres=where's whereve=where've whod=who'd
    whod've=who'd've who'dve=who'd've wholl=who'll whos=who's whove=who've whyll=why'll whyre=why're
    whys=why's wont=won't wouldve=would've wouldnt=wouldn't wouldnt've=wouldn't've wouldn'tve=wouldn't've
    yall=y'all yall'll=y'all'll y'allll=y'all'll yall'd've=y'all'd've y'alld've=y'all'd've
    y'all'dve=y'all'd've youd=you'd youd've=you'd've you'dve=you'd've youll=you'll youre=you're youve=you've
    """.split()  # noqa: SIM905
)
"""A contraction without apostrophes -> with them: the table of the VQA evaluation, its odd entries included."""


def replace_punctuation(text: str) -> str:
    """Delete or blank the marks in `PUNCTUATION`.

    A mark is deleted everywhere when it has a space beside it anywhere in the text, or when the text has a comma
    between two digits; otherwise each becomes a space.
    """
    has_comma_in_number = re.search(r"\d,\d", text) is not None
    result = text
    for mark in PUNCTUATION:
        is_loose = f"{mark} " in text or f" {mark}" in text
        result = result.replace(mark, "" if is_loose or has_comma_in_number else " ")
    return result


def drop_full_stops(text: str) -> str:
    """Delete the first `MAX_FULL_STOPS` full stops that no digit follows."""
    return re.sub(r"\.(?!\d)", "", text, count=MAX_FULL_STOPS)


def normalise_answer(text: str) -> str:
    """Bring a short answer into the form in which the VQA challenge compares answers.

    Lower case, without commas, articles and most punctuation; number words up to ten as digits; contractions with
    their apostrophes; words one space apart.
    """
    return normalise_words(text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip())


def normalise_words(text: str) -> str:
    """Bring a short answer into the form in which VQAv2 compares answers: `normalise_answer` without its first step.

    Case, commas, question marks and possessives count when it is decided which punctuation goes.
    """
    text = text.replace("\n", " ").replace("\t", " ").strip()
    text = drop_full_stops(replace_punctuation(text)).lower()
    words = (NUMBER_WORDS.get(word, word) for word in text.split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def vqa_accuracy(answer: str, references: Sequence[str], normalise: Callable[[str], str] = normalise_answer) -> float:
    """Score an answer against what several people said.

    For each person left out in turn: a third for each of the others who gave this answer, at most 1; then the mean.

    Args:
        answer: The model's answer, not yet normalised.
        references: People's answers, usually ten, not yet normalised.
        normalise: Which form of them is compared.

    Returns:
        0 to 1; 0 without references.
    """
    answer = normalise(answer)
    golds = [normalise(r) for r in references]
    if not golds:
        return 0.0
    num_equal = golds.count(answer)
    return fmean(min(1.0, (num_equal - (gold == answer)) / 3) for gold in golds)
