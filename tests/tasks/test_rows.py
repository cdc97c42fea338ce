"""Documents of a task: sources, media left closed, selection, digests."""

from __future__ import annotations

import io
import json
import random

import datasets
import PIL.Image
import pytest

from pytest_lmms.errors import DatasetError
from pytest_lmms.media.image import LazyImage
from pytest_lmms.tasks.load import load_task
from pytest_lmms.tasks.miniature import read_miniature
from pytest_lmms.tasks.rows import CHUNK, DatasetRows, check_column, digest_row, select

ROWS = [{"n": i, "text": f"row {i}"} for i in range(5)]


def png(colour) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (3, 2), colour).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def open_rows(tmp_path):
    """`open_rows(yaml_text, data="full", code="")`: the rows of a task beside the files in tmp_path."""

    def open_rows(text, *, data="full", code=""):
        (tmp_path / "utils.py").write_text(code)
        (tmp_path / "toy.yaml").write_text("task: toy\n" + text)
        return load_task(tmp_path / "toy.yaml").open_rows(data)

    return open_rows


# --- sources ------------------------------------------------------------------------------------------------------


def write_source(folder, kind):
    data = datasets.Dataset.from_list(ROWS)
    if kind == "json":
        (folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in ROWS))
        return "dataset_path: json\ntest_split: train\ndataset_kwargs: {data_files: rows.jsonl}\n"
    if kind == "csv":
        data.to_csv(folder / "rows.csv")
        return "dataset_path: csv\ntest_split: train\ndataset_kwargs: {data_files: rows.csv}\n"
    if kind == "parquet by split":
        data.to_parquet(folder / "rows.parquet")
        return "dataset_path: parquet\ntest_split: test\ndataset_kwargs: {data_files: {test: [rows.parquet]}}\n"
    if kind == "pattern":
        data.select([0, 1]).to_parquet(folder / "rows-0.parquet")
        data.select([2, 3, 4]).to_parquet(folder / "rows-1.parquet")
        return "dataset_path: parquet\ntest_split: train\ndataset_kwargs: {data_files: rows-*.parquet}\n"
    if kind == "saved dataset":
        data.save_to_disk(folder / "saved")
        return "dataset_path: saved\ntest_split: test\ndataset_kwargs: {load_from_disk: true}\n"
    if kind == "saved splits":
        datasets.DatasetDict(test=data, train=data.select([0])).save_to_disk(folder / "saved")
        return "dataset_path: saved\ntest_split: test\ndataset_kwargs: {load_from_disk: true}\n"
    (folder / "repo").mkdir()
    data.to_parquet(folder / "repo" / "test-00000-of-00001.parquet")
    return "dataset_path: repo\ntest_split: test\ndataset_kwargs: {token: true, trust_remote_code: true}\n"


@pytest.mark.parametrize(
    "kind", ["json", "csv", "parquet by split", "pattern", "saved dataset", "saved splits", "local folder"]
)
def test_sources_beside_the_yaml_give_their_rows_in_order(tmp_path, open_rows, monkeypatch, kind):
    text = write_source(tmp_path, kind)
    monkeypatch.chdir("/")
    rows = open_rows(text)
    assert [rows.document(i) for i in range(len(rows))] == ROWS
    assert list(rows.columns) == ["n", "text"]


def test_a_part_of_a_split_can_be_asked_for(tmp_path, open_rows):
    text = write_source(tmp_path, "json").replace("test_split: train", "test_split: 'train[1:3]'")
    assert [row["n"] for row in map(open_rows(text).document, range(2))] == [1, 2]


def test_process_docs_filters_and_adds_columns(tmp_path, open_rows):
    code = "def p(data): return data.filter(lambda r: r['n'] % 2).map(lambda r: {'more': r['n'] * 10})\n"
    rows = open_rows(write_source(tmp_path, "json") + "process_docs: !function utils.p\n", code=code)
    assert [rows.document(i) for i in range(len(rows))] == [
        {"n": 1, "text": "row 1", "more": 10}, {"n": 3, "text": "row 3", "more": 30}
    ]  # fmt: skip


def test_a_missing_folder_of_a_saved_dataset_is_an_error_about_it(open_rows):
    with pytest.raises(DatasetError, match="saved"):
        open_rows("dataset_path: ./saved\ntest_split: test\ndataset_kwargs: {load_from_disk: true}\n")


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("test_split: train", "test_split: tset"), ["tset", "train", "correct the split"]),
        (("rows.jsonl", "gone.jsonl"), ["gone.jsonl"]),
        (("rows.jsonl", "bad.jsonl"), ["bad.jsonl"]),
        (("rows.jsonl", "empty.jsonl"), ["empty"]),
        (("rows.jsonl}", "rows.jsonl}\nprocess_docs: !function utils.p"), ["process_docs", "no such", "utils.py:1"]),
    ],
)
def test_what_cannot_be_opened_says_where_and_what(tmp_path, open_rows, change, words):
    text = write_source(tmp_path, "json").replace(*change)
    (tmp_path / "bad.jsonl").write_text('{"n": 1}\n{"n": \n')
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DatasetError) as error:
        open_rows(text, code="def p(data): raise KeyError('no such')\n")
    assert all(word in str(error.value) for word in ["toy", *words]), error.value


def test_a_split_that_selects_nothing_is_an_error(tmp_path, open_rows):
    with pytest.raises(DatasetError, match="is empty"):
        open_rows(write_source(tmp_path, "json").replace("test_split: train", "test_split: 'train[:0]'"))


def test_a_missing_split_of_a_saved_dataset_names_those_that_exist(tmp_path, open_rows):
    text = write_source(tmp_path, "saved splits").replace("test_split: test", "test_split: tset")
    with pytest.raises(DatasetError, match="tset") as error:
        open_rows(text)
    assert "['test', 'train']" in str(error.value)
    assert "correct the split" in str(error.value)


def test_a_missing_column_is_named_with_its_neighbours(tmp_path, open_rows):
    rows = open_rows(write_source(tmp_path, "json"))
    spec = load_task(tmp_path / "toy.yaml").spec
    check_column(spec, rows, "text", "toy.yaml:1")
    with pytest.raises(DatasetError, match="no column 'txt'") as error:
        check_column(spec, rows, "txt", "toy.yaml:1")
    assert "did you mean: text?" in str(error.value)


def test_a_streamed_dataset_is_downloaded_with_a_notice(tmp_path, open_rows):
    text = write_source(tmp_path, "json").replace("rows.jsonl}", "rows.jsonl, streaming: true, data_dir: null}")
    with pytest.warns(UserWarning, match="streaming"):
        rows = open_rows(text)
    assert len(rows) == 5


def test_rows_behind_the_first_chunk_are_right(tmp_path):
    rows = DatasetRows(datasets.Dataset.from_dict({"n": list(range(CHUNK * 12 + 3))}))
    asked = [0, CHUNK, CHUNK * 12 + 2, 5, CHUNK * 11 - 1, CHUNK * 5, 0]
    assert [rows.document(i)["n"] for i in asked] == asked


# --- media --------------------------------------------------------------------------------------------------------


def is_closed(image) -> bool:
    return isinstance(image, LazyImage) and image.encoded_reference() is not None


def test_image_columns_stay_undecoded_wherever_they_are_nested():
    features = datasets.Features(
        {
            "one": datasets.Image(),
            "many": datasets.List(datasets.Image()),
            "inside": {"image": datasets.Image(), "caption": datasets.Value("string")},
            "deep": datasets.List({"image": datasets.Image(), "n": datasets.Value("int64")}),
            "none": datasets.Image(),
        }
    )
    image = {"bytes": png("red"), "path": None}
    row = {"one": image, "many": [image, None], "inside": {"image": image, "caption": "c"},
           "deep": [{"image": image, "n": 1}], "none": None}  # fmt: skip
    document = DatasetRows(datasets.Dataset.from_list([row], features=features)).document(0)
    assert is_closed(document["one"])
    assert is_closed(document["many"][0])
    assert document["many"][1] is None
    assert is_closed(document["inside"]["image"])
    assert document["inside"]["caption"] == "c"
    assert is_closed(document["deep"][0]["image"])
    assert document["deep"][0]["n"] == 1
    assert document["none"] is None
    assert document["one"].getpixel((0, 0)) == (255, 0, 0)


def test_what_task_code_does_to_a_row_is_not_seen_by_the_next_reader(tmp_path):
    rows = DatasetRows(datasets.Dataset.from_list([{"options": ["a", "b"], "inside": {"x": 1}}]))
    first = rows.document(0)
    first["options"].append("c")
    first["inside"]["x"] = 2
    assert rows.document(0) == {"options": ["a", "b"], "inside": {"x": 1}}


def write_miniature(folder, rows):
    (folder / "miniature").mkdir(exist_ok=True)
    path = folder / "miniature" / "toy.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    (folder / "miniature" / "red.png").write_bytes(png("red"))
    return path


def test_a_miniature_names_media_beside_it(tmp_path):
    path = write_miniature(tmp_path, [{"image": {"$image": "red.png"}, "more": [{"$image": "red.png"}], "n": 1}])
    document = read_miniature(path).document(0)
    assert is_closed(document["image"])
    assert document["more"][0].getpixel((0, 0)) == (255, 0, 0)
    assert document["n"] == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"$features": None}, r"toy\.jsonl:2: \$features is None"),
        ({"$features": {"image": ["image"]}}, r"toy\.jsonl:2: \$features is {'image': \['image'\]}"),
        ({"image": {"$image": None}}, r"toy\.jsonl:2: no file None"),
        ({"image": {"$image": "blue.png"}}, r"toy\.jsonl:2: no file 'blue\.png'"),
        ([1], r"toy\.jsonl:2: no JSON object"),
    ],
)
def test_a_line_of_a_miniature_that_cannot_be_read_is_named(tmp_path, line, told):
    with pytest.raises(DatasetError, match=told):
        read_miniature(write_miniature(tmp_path, [{"n": 1}, line]))


SHUFFLES = """
import random

def p(docs):
    order = list(range(len(docs)))
    random.shuffle(order)
    return docs.select(order).shuffle()
"""


def test_process_docs_that_shuffles_gives_every_process_the_same_order(tmp_path, open_rows):
    text = write_source(tmp_path, "json") + "process_docs: !function utils.p\n"
    found = []
    for seed in (1, 2):
        random.seed(seed)
        expected = random.Random(seed).random()
        rows = open_rows(text, code=SHUFFLES)
        found.append([rows.document(i)["n"] for i in range(5)])
        assert random.random() == expected
    assert found[0] == found[1] != [0, 1, 2, 3, 4]


def test_a_miniature_goes_through_process_docs_with_its_images(tmp_path, open_rows):
    write_miniature(tmp_path, [{"image": {"$image": "red.png"}, "n": i} for i in range(3)])
    code = "def p(data): return data.filter(lambda r: r['n'] != 1)\n"
    text = "dataset_path: nobody/nothing\ntest_split: test\nprocess_docs: !function utils.p\n"
    rows = open_rows(text, data="mini", code=code)
    assert [rows.document(i)["n"] for i in range(len(rows))] == [0, 2]
    assert is_closed(rows.document(1)["image"])


# --- selection ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "offset", "limit", "expected"),
    [
        (10, 0, None, range(10)), (10, 0, -1, range(10)), (10, 3, None, range(3, 10)), (10, 3, 4, range(3, 7)),
        (10, 8, 4, range(8, 10)), (10, 0, 0.25, range(3)), (10, 5, 0.25, range(5, 8)), (10, 12, None, range(0)),
        (3, 0, 0.001, range(1)), (0, 0, 5, range(0)), (10, 0, 1.0, range(1)), (1000, 0, 0.07, range(70)),
    ],
)  # fmt: skip
def test_limit_and_offset(total, offset, limit, expected):
    assert list(select(total, offset=offset, limit=limit)) == list(expected)


# --- digests ------------------------------------------------------------------------------------------------------


def test_a_digest_depends_on_values_and_not_on_the_order_of_columns():
    assert digest_row({"a": 1, "b": [2]}) == digest_row({"b": [2], "a": 1})
    assert digest_row({"a": 1}) != digest_row({"a": "1"})
    assert digest_row({"a": b"x"}) != digest_row({"a": b"y"})
    assert len(digest_row({})) == 64


def test_a_row_has_the_same_digest_in_a_miniature_and_as_a_dataset_made_of_it(tmp_path):
    path = write_miniature(
        tmp_path, [{"image": {"$image": "red.png"}, "more": [{"$image": "red.png"}], "n": i, "t": None} for i in (1, 2)]
    )
    small = read_miniature(path)
    again = DatasetRows(small.to_dataset())
    assert [digest_row(small.storage(i)) for i in range(2)] == [digest_row(again.storage(i)) for i in range(2)]


def test_a_digest_does_not_change_when_a_document_is_used(tmp_path):
    rows = DatasetRows(datasets.Dataset.from_list([{"options": ["a", "b"]}]))
    before = digest_row(rows.storage(0))
    rows.document(0)["options"].clear()
    assert digest_row(rows.storage(0)) == before
