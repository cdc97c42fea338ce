import pytest

from pytest_lmms.scoring.grounding import BOX_METRICS, read_box


def test_the_first_box_in_square_brackets_is_read():
    assert read_box("at [0.1, 0.2 , 3] or [0.1, 0.2,0.3, -4 ]") == [0.1, 0.2, 0.3, -4.0]
    assert read_box("(0.1, 0.2, 0.3, 0.4)") is None
    assert read_box(f"[{'9' * 400}, 0, 1, 1]") is None


def test_boxes_are_scored_by_overlap_and_by_centre():
    items = [
        {"pred": [0, 0, 0.5, 0.5], "bbox": [0, 0, 0.5, 0.5]},
        {"pred": [0.2, 0, 0.4, 0.2], "bbox": [0, 0, 0.4, 0.2]},
        {"pred": [0.6, 0.6, 0.7, 0.7], "bbox": [0, 0, 0.5, 0.5]},
    ]
    scores = {name: metric(items) for name, metric in BOX_METRICS.items()}
    assert scores["IoU"] == pytest.approx(0.5)
    assert scores["ACC@0.5"] == pytest.approx(2 / 3)
    assert scores["ACC@0.7"] == scores["ACC@0.9"] == pytest.approx(1 / 3)
    assert scores["Center_ACC"] == pytest.approx(2 / 3)
