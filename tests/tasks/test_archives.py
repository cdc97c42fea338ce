"""Archives are unpacked whole or not at all, and nothing leaves the folder."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import tracemalloc
import zipfile

import pytest

from pytest_lmms.errors import DatasetError
from pytest_lmms.tasks import allowance, unpacking
from pytest_lmms.tasks.archives import find_archives
from pytest_lmms.tasks.unpacking import unpack


def tarred(*members, mode="w") -> bytes:
    """A tar of (name, content) files and ready-made `TarInfo`s."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return file.getvalue()


def special(name, kind, target="") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped(*members) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


@pytest.fixture
def unpacked(tmp_path):
    """`unpacked({"v.tar": data})`: {path: content} of what the archives of a folder hold."""

    def unpacked(files):
        source, folder = tmp_path / "source", tmp_path / "root" / "media"
        for name, data in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
        unpack(find_archives(source), folder)
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    return unpacked


# --- kinds --------------------------------------------------------------------------------------------------------


def test_zips_and_tars_anywhere_in_the_folder_are_unpacked_into_one(unpacked):
    files = {"deep/a.zip": zipped(("v/1.mp4", b"1")), "b.tar": tarred(("v/2.mp4", b"2")), "b.tar.md5": b"no archive",
             "README.md": b"no archive"}  # fmt: skip
    assert unpacked(files) == {"v/1.mp4": b"1", "v/2.mp4": b"2"}


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar.bz2", "w:bz2"), ("a.tar.xz", "w:xz")]
)
def test_compressed_tars(unpacked, name, mode):
    assert unpacked({name: tarred(("1.mp4", b"x" * 3000), mode=mode)}) == {"1.mp4": b"x" * 3000}


@pytest.mark.parametrize(
    "names",
    [
        ["v.tar.part-aa", "v.tar.part-ab", "v.tar.part-ac"],
        ["v.tar.part_0", "v.tar.part_1", "v.tar.part_2"],
        ["v.tar.aa", "v.tar.ab", "v.tar.ac"],
        ["v.tar.001", "v.tar.002", "v.tar.003"],
        ["v.part_0.tar", "v.part_1.tar", "v.part_2.tar"],
        ["v_9.tar", "v_10.tar", "v_11.tar"],
    ],
)
def test_the_parts_of_a_tar_are_joined_in_their_order(unpacked, names):
    data = tarred(("1.mp4", b"a" * 7000), ("2.mp4", b"b" * 7000))
    parts = [data[:5000], data[5000:9000], data[9000:]]
    assert unpacked(dict(zip(names, parts, strict=True))) == {"1.mp4": b"a" * 7000, "2.mp4": b"b" * 7000}


def test_the_parts_of_a_compressed_tar_are_joined(unpacked):
    data = tarred(("1.mp4", bytes(range(256)) * 50), mode="w:gz")
    assert unpacked({"v.tar.gz.part-aa": data[:100], "v.tar.gz.part-ab": data[100:]}) == {
        "1.mp4": bytes(range(256)) * 50
    }


def test_numbered_tars_that_are_complete_each_are_all_unpacked(unpacked):
    files = {f"v_{i}.tar": tarred((f"{i}.mp4", b"x")) for i in (1, 2, 5)}
    assert list(unpacked(files)) == ["1.mp4", "2.mp4", "5.mp4"]


def test_links_inside_the_folder_are_kept(unpacked):
    data = tarred(("v/1.mp4", b"1"), special("v/soft.mp4", tarfile.SYMTYPE, "1.mp4"),
                  special("hard.mp4", tarfile.LNKTYPE, "v/1.mp4"))  # fmt: skip
    assert unpacked({"a.tar": data}) == {"v/1.mp4": b"1", "v/soft.mp4": b"1", "hard.mp4": b"1"}


# --- what leaves the folder --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        [("/abs.mp4", b"x")],
        [("../out.mp4", b"x")],
        [("v/../../out.mp4", b"x")],
        [special("l", tarfile.SYMTYPE, "/etc/passwd")],
        [special("l", tarfile.SYMTYPE, "../out")],
        [special("l", tarfile.LNKTYPE, "../secret.txt")],
        [special("l", tarfile.LNKTYPE, "/etc/passwd")],
        [special("fifo", tarfile.FIFOTYPE)],
        [special("null", tarfile.CHRTYPE)],
        # each link is harmless by its text, and together they lead out
        [("d/e/f", b"x"), special("m", tarfile.SYMTYPE, "d/e"), special("l", tarfile.SYMTYPE, "m/../../.."),
         ("l/out.mp4", b"x")],
        [special("l", tarfile.SYMTYPE, "a/b/.."), special("a", tarfile.SYMTYPE, "."),
         special("b", tarfile.SYMTYPE, "."), special("x", tarfile.SYMTYPE, "l/..")],
    ],
)  # fmt: skip
def test_no_member_of_a_tar_leaves_its_folder(tmp_path, unpacked, members):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "secret.txt").write_text("secret")
    last = members[-1]
    name = last.name if isinstance(last, tarfile.TarInfo) else last[0]
    with pytest.raises(DatasetError) as error:
        unpacked({"bad.tar": tarred(*members)})
    assert "bad.tar" in str(error.value)
    assert repr(name) in str(error.value) or "link" in str(error.value)
    assert sorted(p.name for p in (tmp_path / "root").iterdir()) == ["media", "secret.txt"]
    assert not (tmp_path / "out.mp4").exists()


def zip_link(name, target):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target


@pytest.mark.parametrize("member", [("../out", b"x"), ("/out", b"x"), zip_link("l", "../../out")])
def test_no_member_of_a_zip_leaves_its_folder(tmp_path, unpacked, member):
    with pytest.raises(DatasetError, match=r"bad\.zip"):
        unpacked({"bad.zip": zipped(member)})
    assert [p.name for p in (tmp_path / "root").iterdir()] == ["media"]


# --- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.zip", zipped(("1.mp4", b"x" * 5000))[:-40]),
        ("a.zip", b"<html>not found</html>"),
        ("a.tar", b"<html>not found</html>" * 100),
        ("a.tar", tarred(("1.mp4", b"x" * 50_000))[:20_000]),
        ("a.tar.gz", tarred(("1.mp4", bytes(range(256)) * 300), mode="w:gz")[:-200]),
        ("a.tar.xz", tarred(("1.mp4", bytes(range(256)) * 300), mode="w:xz")[:-60]),
        ("a.tar.bz2", b"BZh91AY&SY" + b"garbage" * 100),
        ("a.tar", b""),
    ],
)
def test_a_damaged_archive_is_named_with_what_to_do(unpacked, name, data):
    with pytest.raises(DatasetError, match="force_download") as error:
        unpacked({name: data})
    assert name in str(error.value)
    assert "damaged" in str(error.value)


def test_a_missing_part_is_named(unpacked):
    data = tarred(("1.mp4", b"a" * 9000))
    with pytest.raises(DatasetError, match=r"missing before v\.tar\.part-ac"):
        unpacked({"v.tar.part-aa": data[:3000], "v.tar.part-ac": data[6000:]})


# --- bombs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.tar.gz", "bomb.tar.xz"])
def test_an_archive_that_unpacks_to_far_more_than_its_size_is_stopped(tmp_path, unpacked, monkeypatch, name):
    monkeypatch.setattr(allowance, "ALWAYS_BYTES", 1 << 20)
    zeros = bytes(40 << 20)
    if name.endswith("zip"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("small.mp4", b"x")
            archive.writestr("zeros.mp4", zeros)
        data = file.getvalue()
    else:
        data = tarred(("small.mp4", b"x"), ("zeros.mp4", zeros), mode="w:" + name.rpartition(".")[2])
    with pytest.raises(DatasetError, match="zeros") as error:
        unpacked({name: data})
    assert name in str(error.value)
    assert sum(p.stat().st_size for p in (tmp_path / "root").rglob("*") if p.is_file()) < len(zeros)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_a_tar_is_no_bomb(unpacked, kind):
    long = special("long", kind)
    long.size = 96 << 20
    data = gzip.compress(long.tobuf(tarfile.GNU_FORMAT) + bytes(long.size), 1)
    tracemalloc.start()
    with pytest.raises(DatasetError, match="16 MiB of headers"):
        unpacked({"a.tar.gz": data})
    largest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert largest < long.size / 2


def test_any_number_of_folders_is_no_header(unpacked, monkeypatch):
    monkeypatch.setattr(unpacking, "_LONGEST_HEADERS", 64 << 10)
    folders = [special(f"{i}", tarfile.DIRTYPE) for i in range(400)]
    assert unpacked({"a.tar": tarred(*folders, ("one", b"1"))}) == {"one": b"1"}


def test_what_shrinks_a_lot_and_is_small_is_no_bomb(unpacked):
    data = tarred(("white.png", bytes(10 << 20)), mode="w:gz")
    assert len(unpacked({"a.tar.gz": data})["white.png"]) == 10 << 20


def test_too_many_members_are_stopped(unpacked, monkeypatch):
    monkeypatch.setattr(allowance, "MAX_MEMBERS", 5)
    with pytest.raises(DatasetError, match="members"):
        unpacked({"many.zip": zipped(*((f"{i}.txt", b"") for i in range(6)))})


def test_a_link_of_a_zip_whose_target_is_a_book_is_an_error(unpacked):
    with pytest.raises(DatasetError):
        unpacked({"a.zip": zipped(zip_link("l", "x/" * 1_000_000))})
