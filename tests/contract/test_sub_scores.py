"""Parts of a benchmark have scores of their own, where its authors or lmms-eval tell such."""

from __future__ import annotations

import functools

import pytest

from pytest_lmms import catalog
from pytest_lmms.records import Response
from pytest_lmms.scoring.build import build_scorer, metric_entries
from pytest_lmms.scoring.score import score
from pytest_lmms.scoring.subscores import SUBJECTS_BY_DOMAIN
from pytest_lmms.tasks.index import index_tasks
from pytest_lmms.tasks.load import load_task

PARTS = {
    "air_bench_foundation_sound": ("accuracy", "Sound_AQA"),
    "blink_counting": ("blink_acc", "Counting"),
    "browsecomp": ("browsecomp_exact_match", "Art"),
    "cv_bench": ("cv_bench_acc", "2D Relation ADE20K"),
    "egotempo": ("egotempo_anls", "action_sequence"),
    "erqa": ("erqa_acc", "Spatial_Reasoning State_Estimation"),
    "hallusion_bench_image": ("yes_no_aAcc", "VD VS illusion errors/LH errors/VI errors/Mix"),
    "hipho_apho_2025": ("hipho_score", "Mechanics"),
    "longvideobench_val_v": ("lvb_acc", "duration_group/15 question_category/S2A"),
    "mathvista_testmini_cot": ("llm_as_judge_eval", "multi_choice integer english Geometry3K"),
    "minerva": ("minerva_acc", "category/made-up"),
    "mlvu_dev": ("mlvu_percetion_score", "count order"),
    "mmbench_en_dev": ("gpt_eval_score", "attribute_recognition L2-attribute_reasoning"),
    "mme": ("mme_perception_score", "existence count position color"),
    "mme_cc": ("mme_cc_exact_match", "Maze06"),
    "mmerealworld": ("mme_realworld_score", "Perception Perception/Monitoring Perception/Monitoring:_answered_E"),
    "mmlongbench": ("mmlongbench_acc", "counting retrieval"),
    "mmmu_pro_composite": ("mmmu_acc", "Overall-Science Art"),
    "mmmu_pro_standard": ("mmmu_acc", "Overall-Science Physics"),
    "mmmu_pro_vision": ("mmmu_acc", "Overall-Science Art"),
    "mmmu_val": ("mmmu_acc", "Overall-Science Physics"),
    "mmmu_val_group_img": ("mmmu_acc", "Overall-Science Physics"),
    "mmsearch_rerank": ("rek_score", "area/news subfield/arts"),
    "mmvet": ("keyword_score", "rec ocr spat math ocr_rec"),
    "mtvqa": ("mtvqa_score", "ar de"),
    "muirbench": ("muirbench_score_overall", "Counting Ordering"),
    "neptune_full_v": ("neptune_acc", "Temporal_Ordering"),
    "ocrbench": ("ocrbench_accuracy", "Text_Recognition Regular_Text_Recognition"),
    "ovo_backward": ("back_real_acc", "EPM ASI HLD"),
    "pointbench": ("pointbench_acc", "Spatial Counting"),
    "screenspot_rec_test": ("screenspot_Center_ACC", "mobile_text desktop_icon web_text"),
    "video_mmmu_perception": ("mmmu_acc", "Overall-Science Math"),
    "videomme": ("videomme_perception_score", "duration/short category/Knowledge sub_category/Geography"),
    "viverbench": ("viverbench_acc", "attribute motion"),
    "vsi_bench": ("vsibench_overall", "object_counting object_rel_direction"),
    "vstar_bench": ("vstar_overall_acc", "direct_attributes relative_position"),
}
"""By task, a metric and some of its parts in the miniature; an underscore may stand for a blank."""


@functools.cache
def tasks():
    return index_tasks([catalog.folder("benchmarks")]).tasks


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_a_benchmark_are_scored(name):
    metric, wanted = PARTS[name]
    task = load_task(tasks()[name])
    scorer, rows = build_scorer(task, reasoning_tags=()), task.open_rows("mini")
    outcomes = [score(scorer, rows.document(i), [Response(text="A")]) for i in range(len(rows))]
    items = [scores[metric] for outcome in outcomes for scores in outcome.scores.values() if metric in scores]
    (entry,) = (entry for entry in metric_entries(task) if entry.name == metric)
    found = entry.aggregation.resolve().sub_scores(items)
    assert {part.replace("_", " ") for part in wanted.split()} <= {part.replace("_", " ") for part in found}
    assert all(isinstance(value, (int, float)) for value in found.values())


def test_mmmu_has_30_subjects_of_6_domains():
    assert (len(SUBJECTS_BY_DOMAIN), len(" ".join(SUBJECTS_BY_DOMAIN.values()).split())) == (6, 30)
