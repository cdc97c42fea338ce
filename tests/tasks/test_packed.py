"""A task's documents and media, put into one Lance dataset, are read back as they were."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
import yaml

from pytest_lmms.errors import DatasetError, UsageError
from pytest_lmms.media.lance_blob import LanceBlob
from pytest_lmms.media.video import open_video
from pytest_lmms.tasks.inputs import task_inputs
from pytest_lmms.tasks.load import load_one
from pytest_lmms.tasks.rows import digest_row
from tests.hub_server import Hub, running
from tests.media.sounds import encoded, sine

_lance = pytest.importorskip("pytest_lmms.media._lance", exc_type=ImportError)
packing = pytest.importorskip("pytest_lmms.tasks.packing")

UTILS = """
from pytest_lmms.media.resolve import resolve_media_reference
from pytest_lmms.tasks.mediafiles import find_media

def visual(doc):
    return [*doc["images"], doc["sound"]]

def film(doc):
    return [find_media("films", "clips/" + doc["name"], beside=__file__)]

def film_by_reference(doc):
    return [resolve_media_reference(doc["name"], cache_dir="films", extra_subdirs=("clips",))]

def only_odd(dataset):
    return dataset.filter(lambda row: row["number"] % 2)
"""


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Write a task and load it."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    (tmp_path / "utils.py").write_text(UTILS)
    _lance.forget()

    def make(name="t", **fields):
        spec = {"task": name, "test_split": "train", "doc_to_text": "{{number}}?", "doc_to_target": "answer", **fields}
        text = yaml.safe_dump(spec).replace("'!function", "!function").replace("utils'", "utils'")
        lines = [line.replace("'", "") if "!function" in line else line for line in text.splitlines()]
        (tmp_path / f"{name}.yaml").write_text("\n".join(lines))
        return load_one(tmp_path / f"{name}.yaml")

    return make


def png(level):
    file = io.BytesIO()
    PIL.Image.new("RGB", (8, 8), (level, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def stored(tmp_path):
    """A Parquet file of rows with images (one of them twice), a sound, a list and a number that is missing."""
    import datasets

    rows = [
        {"number": i, "answer": f"ä{i}", "options": ["a", None], "weight": i / 3 if i else None,
         "images": [{"bytes": png(i), "path": f"{i}.png"}, {"bytes": png(99), "path": None}],
         "sound": {"bytes": encoded(sine(0.1, hertz=300 + i)), "path": None}}
        for i in range(5)
    ]  # fmt: skip
    features = datasets.Features(
        number=datasets.Value("int64"), answer=datasets.Value("string"), images=datasets.List(datasets.Image()),
        sound=datasets.Audio(), options=datasets.List(datasets.Value("string")), weight=datasets.Value("float64"),
    )  # fmt: skip
    path = tmp_path / "rows.parquet"
    datasets.Dataset.from_list(rows, features=features).to_parquet(str(path))
    return {
        "dataset_path": "parquet",
        "dataset_kwargs": {"data_files": str(path)},
        "doc_to_visual": "!function utils.visual",
    }


def test_documents_and_what_they_ask_are_equal(task, stored, tmp_path):
    plain = task(**stored)
    written = packing.write_pack(plain, str(tmp_path / "t.lance"))
    assert written.num_rows == 5 + 5 + 5 + 1  # documents, sounds, images of their own, the image they share
    packed = task("packed", doc_to_visual=stored["doc_to_visual"], dataset_kwargs={"lance": "t.lance"})
    assert task_inputs(packed) == task_inputs(plain)
    before, after = plain.open_rows(), packed.open_rows()
    assert [digest_row(after.storage(i)) for i in range(5)] == [digest_row(before.storage(i)) for i in range(5)]
    assert after.columns == before.columns
    assert after.column("weight") == before.column("weight")


def test_a_pack_on_the_hub_is_read_where_it_lies(task, stored, tmp_path, monkeypatch):
    plain = task(**stored)
    packing.write_pack(plain, str(tmp_path / "t.lance"), limit=2)
    paths = [path for path in (tmp_path / "t.lance").rglob("*") if path.is_file()]
    files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in paths}
    with running(Hub(datasets={"org/packs": files})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        kwargs = {"lance": "hf://datasets/org/packs/t.lance"}
        packed = task("packed", doc_to_visual=stored["doc_to_visual"], dataset_kwargs=kwargs)
        assert task_inputs(packed) == task_inputs(plain, limit=2)


def test_opening_documents_reads_no_media(task, stored, tmp_path):
    import datasets

    big = {"bytes": png(0) + bytes(3_000_000), "path": None}
    features = datasets.Features(number=datasets.Value("int64"), image=datasets.Image())
    rows = [{"number": i, "image": big | {"bytes": big["bytes"] + bytes([i])}} for i in range(4)]
    datasets.Dataset.from_list(rows, features=features).to_parquet(str(tmp_path / "big.parquet"))
    plain = task(
        dataset_path="parquet", dataset_kwargs={"data_files": str(tmp_path / "big.parquet")}, doc_to_target="number"
    )
    packing.write_pack(plain, str(tmp_path / "t.lance"))
    rows = task("packed", dataset_kwargs={"lance": "t.lance"}).open_rows()
    table = rows._pack.table
    assert len(rows) == 4
    assert table.bytes_read() < 20_000
    assert rows.document(2)["image"].size == (8, 8)
    assert 3_000_000 < table.bytes_read() < 4_000_000


def test_documents_are_those_after_process_docs(task, stored, tmp_path):
    plain = task(process_docs="!function utils.only_odd", **stored)
    packing.write_pack(plain, str(tmp_path / "t.lance"))
    fields = {"process_docs": "!function utils.only_odd", "doc_to_visual": stored["doc_to_visual"]}
    packed = task("packed", dataset_kwargs={"lance": "t.lance"}, **fields)
    assert [packed.open_rows().document(i)["number"] for i in range(2)] == [1, 3]
    assert task_inputs(packed) == task_inputs(plain)


def write_video(path, level):
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width = stream.height = 64
        for _ in range(4):
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8))):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


@pytest.mark.parametrize("visual", ["film", "film_by_reference"])
def test_files_that_documents_name_are_decoded_in_the_pack_when_they_are_not_here(task, tmp_path, visual):
    for i, level in enumerate((60, 200)):
        write_video(tmp_path / "home" / "films" / "clips" / f"{i}.mp4", level)
    (tmp_path / "rows.jsonl").write_text(
        '{"number": 0, "name": "0.mp4", "answer": "a"}\n{"number": 1, "name": "1.mp4"}'
    )
    rows = {"dataset_path": "json", "doc_to_visual": f"!function utils.{visual}"}
    plain = task(dataset_kwargs={"data_files": "rows.jsonl", "cache_dir": "films"}, **rows)
    written = packing.write_pack(plain, str(tmp_path / "t.lance"))
    assert written.num_rows == 4
    (tmp_path / "home" / "films").rename(tmp_path / "gone")
    assert list(LanceBlob(uri=str(tmp_path / "t.lance"), key="").table().names) == ["clips/0.mp4", "clips/1.mp4"]
    packed = task("packed", dataset_kwargs={"lance": "t.lance", "cache_dir": "films"}, **rows)
    documents = packed.open_rows()
    for i, level in enumerate((60, 200)):
        (ref,) = packed.render(documents, i).requests[0].media
        assert isinstance(ref.content, LanceBlob)
        assert open_video(ref, num_frames=2).frames.mean() == pytest.approx(level, abs=4)


def test_a_lance_dataset_of_media_alone_gives_media_alone(task, tmp_path):
    write_video(tmp_path / "v.mp4", 90)
    media = [{"video_id": "0", "video_ext": "mp4", "video_blob": (tmp_path / "v.mp4").read_bytes()}]
    _lance.write_table(
        str(tmp_path / "m.lance"), {"video_id": "string", "video_ext": "string", "video_blob": "blob"}, media
    )
    (tmp_path / "rows.jsonl").write_text('{"number": 0, "name": "0.mp4", "answer": "a"}')
    found = task(
        dataset_path="json",
        dataset_kwargs={"data_files": "rows.jsonl", "lance": "m.lance"},
        doc_to_visual="!function utils.film",
    )
    (ref,) = found.render(found.open_rows(), 0).requests[0].media
    assert open_video(ref, num_frames=1).frames.mean() == pytest.approx(90, abs=4)


def test_what_is_wrong_is_named(task, stored, tmp_path):
    with pytest.raises(DatasetError, match=r"t\.yaml(.|\n)*none\.lance: cannot be opened"):
        task(dataset_kwargs={"lance": "none.lance"}).open_rows()
    _lance.write_table(str(tmp_path / "new.lance"), packing.COLUMNS, [{"row": "{}"}],
                       metadata={"pytest_lmms_pack": "9", "features": "{}"})  # fmt: skip
    with pytest.raises(DatasetError, match=r"new\.lance: a pack of version 9"):
        task(dataset_kwargs={"lance": "new.lance"}).open_rows()
    plain = task(**stored)
    packing.write_pack(plain, str(tmp_path / "t.lance"), limit=1)
    with pytest.raises(UsageError, match="already exists"):
        packing.write_pack(plain, str(tmp_path / "t.lance"))
    packing.write_pack(plain, str(tmp_path / "t.lance"), limit=2, mode="overwrite")


def test_two_files_of_one_name_are_not_mixed_up(tmp_path):
    packer = packing.Packer("t")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.mp4").write_text(folder)
    assert [row["video_id"] for row in packer.file(str(tmp_path / "a" / "x.mp4"), None)] == ["x.mp4"]
    with pytest.raises(UsageError, match=r"two different files are named 'x\.mp4'"):
        list(packer.file(str(tmp_path / "b" / "x.mp4"), None))
