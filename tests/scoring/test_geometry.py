import pytest

from pytest_lmms.scoring.geometry import box_centre, box_iou, is_in_box, is_in_polygon

L_SHAPE = [(0, 0), (4, 0), (4, 1), (1, 1), (1, 4), (0, 4)]


def test_overlap_of_boxes_is_their_share_of_the_union():
    assert box_iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 1, 1), (2, 2, 3, 3)) == 0.0
    assert box_iou((1, 1, 1, 1), (1, 1, 1, 1)) == 0.0


def test_the_border_of_a_box_is_in_the_box():
    assert is_in_box((2, 0), (0, 0, 2, 2))
    assert not is_in_box((2.1, 0), (0, 0, 2, 2))
    assert box_centre((0, 2, 4, 4)) == (2, 3)


def test_a_point_in_the_notch_of_an_l_is_outside():
    assert is_in_polygon((0.5, 3), L_SHAPE)
    assert is_in_polygon((3, 0.5), L_SHAPE)
    assert not is_in_polygon((3, 3), L_SHAPE)
