from pytest_lmms.scoring.subscores import mean_score, over, with_sub_scores

ITEMS = [{"kind": "a", "score": 1}, {"kind": "b", "score": 0}, {"kind": "a", "score": 0}]


def test_items_are_aggregated_by_what_a_column_says():
    assert over("kind")(ITEMS) == {"a": 0.5, "b": 0.0}
    assert over("kind", aggregation=len)(ITEMS) == {"a": 2, "b": 1}
    assert mean_score([]) is None


def test_an_aggregation_carries_its_sub_scores():
    @with_sub_scores(over("kind"))
    def aggregation(items):
        return len(items)

    assert aggregation(ITEMS) == 3
    assert aggregation.sub_scores(ITEMS) == {"a": 0.5, "b": 0.0}
