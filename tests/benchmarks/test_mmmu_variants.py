"""MMMU with all images in one, and MMMU-Pro's pictures of several questions."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from pytest_lmms.catalog import import_file, package_for
from pytest_lmms.records import Unparsed

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def group_img() -> ModuleType:
    folder = BENCHMARKS / "mmmu"
    return import_file(folder / "group_img.py", package=package_for(folder))


@pytest.fixture(scope="module")
def composite() -> ModuleType:
    return import_file(BENCHMARKS / "mmmu_pro" / "composite.py")


@pytest.mark.parametrize(
    ("sizes", "size"),
    [([(100, 200), (50, 100)], (1008, 1008)), ([(200, 100), (300, 100)], (1008, 840)), ([(10, 10)], (1008, 1008))],
)
def test_images_are_joined_to_the_less_elongated_of_row_and_column(
    group_img: ModuleType, sizes: list[tuple[int, int]], size: tuple[int, int]
) -> None:
    assert group_img.joined([Image.new("RGB", s, "red") for s in sizes]).size == size


def test_each_joined_image_has_its_number_on_white(group_img: ModuleType) -> None:
    row = group_img.joined([Image.new("RGB", (100, 200), colour) for colour in ("red", "blue")])
    assert [row.getpixel((x, 100)) for x in (300, 800)] == [(255, 0, 0), (0, 0, 255)]
    for left in (0, 504):
        corner = row.crop((left, 0, left + 60, 60))
        assert corner.getpixel((1, 1)) == (255, 255, 255)
        assert corner.convert("L").getextrema() == (0, 255)


@pytest.mark.parametrize(
    ("said", "score"), [("The answer is 24.", 1), ("So x = 12\nfinal 24.00", 1), ("It is 240", 0), ("", 0)]
)
def test_an_open_answer_counts_when_it_concludes_the_gold_one(group_img: ModuleType, said: str, score: int) -> None:
    doc = {"id": "validation_Math_1", "question_type": "open", "answer": "24"}
    scores = group_img.mmmu_group_img_results(doc, [said])
    assert scores["mmmu_acc"].numbers == {"score": score}
    assert group_img.mmmu_group_img_accuracy([dict(scores["mmmu_acc"])]) == score
    assert isinstance(scores, Unparsed) is (not said)


@pytest.mark.parametrize(
    ("said", "right"),
    [("No: 1\nAnswer: B\nNo: 2\nAnswer: C", 1), ("B, then D, then C", 0.5), ("B", 0.5), ("bc", 0)],
)
def test_capitals_answer_the_questions_of_a_picture_in_turn(composite: ModuleType, said: str, right: float) -> None:
    doc = {"id": "c_1", "subject": "Art", "answer": "['B', 'C']"}
    scores = composite.mmmu_pro_composite_process_results(doc, [said])
    assert composite.mmmu_pro_composite_aggregate([scores["mmmu_acc"]]) == right
    assert isinstance(scores, Unparsed) is (said == "bc")


def test_a_subject_weighs_as_much_as_it_has_pictures(composite: ModuleType) -> None:
    one = {"subject": "Art", "answer": ["B"], "parsed_pred": ["B"]}
    two = {"subject": "Math", "answer": ["B", "C"], "parsed_pred": ["", ""]}
    assert composite.mmmu_pro_composite_aggregate([one, two]) == 0.5
