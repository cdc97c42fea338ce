"""The response store: what it keeps, what it forgets, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_lmms.errors import StoreError
from pytest_lmms.inference.cache import KeyMaker, ResponseStore, digest_identity
from pytest_lmms.records import Generation, MediaRef, Message, Part, Request, Response, TokenCounts


def request(*content: Part, repeat: int = 0, **settings: object) -> Request:
    return Request(
        task="t",
        doc_id=0,
        messages=(Message(role="user", content=content),),
        generation=Generation(**settings),  # type: ignore[arg-type]
        repeat=repeat,
    )


def key(*content: Part, identity: str = "m", repeat: int = 0, **settings: object) -> str:
    return KeyMaker(identity).keys([request(*content, repeat=repeat, **settings)])[0]


def test_a_key_changes_with_everything_that_changes_text() -> None:
    image = MediaRef(kind="image", data=b"one")
    base = key("hi", image)
    others = [
        key("hi", image, identity="other"),
        key("ho", image),
        key(image, "hi"),
        key("hi", MediaRef(kind="image", data=b"two")),
        key("hi", MediaRef(kind="image", data=b"one", mode="RGB")),
        key("hi", image, temperature=0.5),
        key("hi", image, until=("x",)),
        key("hi", image, repeat=1),
    ]
    assert len({base, *others}) == len(others) + 1


def test_a_key_does_not_depend_on_the_document_number_or_the_process() -> None:
    first = request("hi", max_new_tokens=3)
    second = Request(task="other", doc_id=7, messages=first.messages, generation=Generation(max_new_tokens=3))
    assert KeyMaker("m").keys([first]) == KeyMaker("m").keys([second])


def test_text_cannot_pass_for_two_parts() -> None:
    assert key("ab") != key("a", "b")


def test_an_identity_digest_ignores_the_order_of_its_entries() -> None:
    assert digest_identity({"a": 1, "b": 2}) == digest_identity({"b": 2, "a": 1})


def test_a_response_comes_back_marked_as_cached_with_its_token_counts(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path, writer="w")
    store.put([("k", Response(text="yes \u00e9\ud83d", finish_reason="stop", tokens=TokenCounts(output_tokens=3)))])
    store.close()
    found = ResponseStore(tmp_path, writer="w", read=True).get("k")
    assert found is not None
    assert (found.text, found.cached, found.tokens.output_tokens, found.timing) == ("yes \u00e9\ud83d", True, 3, None)


def test_a_store_that_may_not_be_read_gives_nothing(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path, writer="w")
    store.put([("k", Response(text="a"))])
    assert ResponseStore(tmp_path, writer="x").get("k") is None


def test_a_batch_cut_short_by_a_kill_is_forgotten_whole(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path, writer="w")
    store.put([("a", Response(text="1"))])
    store.put([("b", Response(text="2")), ("c", Response(text="3"))])
    store.close()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-10])
    again = ResponseStore(tmp_path, writer="w", read=True)
    assert again.get("a") is not None
    assert again.get("b") is None
    assert again.get("c") is None


def test_several_processes_files_are_read_together(tmp_path: Path) -> None:
    for name in ("gw0", "gw1"):
        ResponseStore(tmp_path, writer=name).put([(name, Response(text=name))])
    store = ResponseStore(tmp_path, writer="main", read=True)
    assert len(store) == 2
    assert store.get("gw1").text == "gw1"  # type: ignore[union-attr]


def test_a_store_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"v": 99, "responses": {}}) + "\n")
    with pytest.raises(StoreError, match=r"x\.jsonl: response store of version 99"):
        ResponseStore(tmp_path, writer="w", read=True)


DEEP = b"[" * 5000 + b"]" * 5000
DAMAGED = [
    DEEP,
    b"\xff\x00",
    b"[]",
    b'{"v": 1}',
    b'{"v": 1, "responses": 5}',
    b'{"v":1,"responses":{"b":' + DEEP + b"}}",
]


@pytest.mark.parametrize("line", DAMAGED)
def test_a_damaged_line_is_named_and_costs_itself_only(tmp_path: Path, line: bytes) -> None:
    store = ResponseStore(tmp_path, writer="w")
    store.put([("a", Response(text="1"))])
    (file,) = tmp_path.iterdir()
    with file.open("ab") as appended:
        appended.write(line + b"\n")
    store.put([("c", Response(text="3"))])
    store.close()
    again = ResponseStore(tmp_path, writer="w", read=True)
    assert again.damaged == [f"{file}:2"]
    assert [again.get(name) is not None for name in "abc"] == [True, False, True]


@pytest.mark.parametrize(
    "entry", ["text", None, {}, {"text": 5}, {"text": "a", "tool_calls": [1]}, {"text": "a", "tokens": 7}]
)
def test_an_entry_that_is_no_response_is_not_given_out(tmp_path: Path, entry: object) -> None:
    good = {"text": "1"}
    (tmp_path / "x.jsonl").write_text(json.dumps({"v": 1, "responses": {"a": entry, "b": good}}) + "\n")
    store = ResponseStore(tmp_path, writer="w", read=True)
    assert store.get("a") is None
    assert (store.get("b").text, store.num_hits) == ("1", 1)  # type: ignore[union-attr]


def test_a_file_that_is_removed_meanwhile_gives_nothing(tmp_path: Path) -> None:
    writer = ResponseStore(tmp_path, writer="w")
    writer.put([("a", Response(text="1"))])
    store = ResponseStore(tmp_path, writer="x", read=True)
    (file,) = tmp_path.iterdir()
    file.unlink()
    assert store.get("a") is None
