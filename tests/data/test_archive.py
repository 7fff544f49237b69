import shutil
import struct
import tempfile
import tracemalloc
import zipfile
from copy import copy
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback import HOSTILE, PAGE, hostile, member, patch, zip_of

from oncovec.core import parallel
from oncovec.core.errors import OncovecError
from oncovec.data.download import archive
from oncovec.data.download.archive import DamagedError, HostileError
from oncovec.data.tree import Folder

FILES = {
    "labels.csv": b"image,label\n" * 20,
    "a/1.png": bytes(range(256)) * 3,
    "a/2.png": b"",
    "a/b/1.png": b"one",
    "ü/日本.png": b"two" * 30,
}
"""Files in two depths, of two kinds, one of them empty."""

SAME = [HealthCheck.function_scoped_fixture]
"""The one that is used is the same for every example."""

names = st.sampled_from(["a", "b.png", "ü.png", ".hidden", "._b.png", "__MACOSX", "C.csv", "d e"])
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map("/".join), st.binary(max_size=40), max_size=12
).map(lambda files: {path: files[path] for path in files if not any(is_below(each, path) for each in files)})


def is_below(path, folder):
    return path.startswith(f"{folder}/")


def pack(path, files, methods=(ZIP_STORED,), date=(2020, 1, 1, 0, 0, 0), comment=b""):
    """Write a zip with these members in this order; the methods take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as packed:
        for number, (name, content) in enumerate(files.items()):
            info = member(name, method=methods[number % len(methods)])
            info.date_time = date
            packed.writestr(info, content)
        packed.comment = comment
    return path


def unpack(root, files):
    """Write the same files as a folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def unpacked(path):
    """Unpack beside the archive; content of each file by name."""
    folder = path.with_name(f"unpacked {path.stem}")
    shutil.rmtree(folder, ignore_errors=True)
    archive.unpack(path, folder)
    return {name: Folder(folder).read(name) for name in Folder(folder).paths()}


def inspect(path):
    return archive.inspect(path)


def inspect_packed(path, files, **how):
    return inspect(pack(path, files, **how))


def everything_below(root):
    return {path: path.is_file() and path.read_bytes() for path in root.rglob("*")}


@pytest.fixture
def zip64(monkeypatch):
    """Write archives as if everything were larger than 4 GB."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 0)


# --- what an archive is said to hold ---


def test_each_folder_has_the_number_of_its_files_and_the_root_is_a_dot(tmp_path):
    found = inspect_packed(tmp_path / "a.zip", FILES)
    assert {folder: facts["files"] for folder, facts in found.items()} == {".": 1, "a": 2, "a/b": 1, "ü": 1}
    assert list(found) == sorted(found)
    assert all(len(facts["sha256"]) == 64 for facts in found.values())


def test_an_archive_without_members_has_no_folders(tmp_path):
    assert inspect_packed(tmp_path / "a.zip", {}) == {}


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA])
def test_the_compression_does_not_matter(method, tmp_path):
    expected = inspect_packed(tmp_path / "a.zip", FILES)
    assert inspect_packed(tmp_path / "b.zip", FILES, methods=(method,)) == expected


def test_dates_and_comments_do_not_matter(tmp_path):
    expected = inspect_packed(tmp_path / "a.zip", FILES)
    date = (1999, 12, 31, 23, 59, 58)
    assert inspect_packed(tmp_path / "b.zip", FILES, date=date, comment=b"packed anew") == expected


def test_bytes_before_an_archive_do_not_matter(tmp_path):
    expected = inspect_packed(tmp_path / "a.zip", FILES)
    (tmp_path / "b.zip").write_bytes(b"#!/bin/sh\n" + (tmp_path / "a.zip").read_bytes())
    assert inspect(tmp_path / "b.zip") == expected


def test_explicit_folders_do_not_matter(tmp_path):
    expected = inspect_packed(tmp_path / "a.zip", FILES)
    folders = {"a/": b"", "a/b/": b"", "empty/": b"", "ü/": b""}
    assert inspect_packed(tmp_path / "b.zip", folders | FILES) == expected


def test_the_size_of_the_fields_does_not_matter(tmp_path, zip64):
    found = inspect_packed(tmp_path / "a.zip", FILES)
    with ZipFile(tmp_path / "a.zip") as packed:
        assert all(info.extra for info in packed.infolist())  # its sizes lie there
    with ZipFile(tmp_path / "b.zip", "w") as packed:
        for name, content in FILES.items():
            with packed.open(member(name), "w", force_zip64=True) as file:
                file.write(content)
    assert inspect(tmp_path / "b.zip") == found
    assert unpacked(tmp_path / "a.zip") == FILES


@given(trees, st.randoms(use_true_random=False))
@settings(max_examples=40, suppress_health_check=SAME)
def test_the_order_of_the_members_does_not_matter(files, random):
    shuffled = dict(random.sample(list(files.items()), len(files)))
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "one.zip", Path(folder) / "other.zip"
        assert inspect_packed(one, files) == inspect_packed(other, shuffled, methods=(ZIP_DEFLATED,))


@given(trees, trees)
@settings(max_examples=60, suppress_health_check=SAME)
def test_other_files_are_described_differently(files, others):
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "one.zip", Path(folder) / "other.zip"
        assert (inspect_packed(one, files) == inspect_packed(other, others)) == (files == others)


@pytest.mark.parametrize(
    ("change", "folders"),
    [
        ({"a/1.png": bytes(range(256)) * 2 + bytes(255) + b"\0"}, {"a"}),
        ({"a/1.png": None, "a/3.png": FILES["a/1.png"]}, {"a"}),
        ({"a/1.png": None, "a/b/9.png": FILES["a/1.png"]}, {"a", "a/b"}),
        ({"a/1.png": None}, {"a"}),
        ({"a/b/1.png": None}, {"a/b"}),
        ({"a/1.png": b"", "a/2.png": FILES["a/1.png"]}, {"a"}),
        ({"new/1.png": b""}, {"new"}),
    ],
    ids=["changed", "renamed", "moved", "missing", "missing folder", "swapped", "added"],
)
def test_only_the_folders_of_what_changed_are_described_differently(change, folders, tmp_path):
    files = {name: content for name, content in (FILES | change).items() if content is not None}
    old, new = inspect_packed(tmp_path / "a.zip", FILES), inspect_packed(tmp_path / "b.zip", files)
    assert {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)} == folders


def test_many_members_are_described_as_by_one_process(tmp_path, monkeypatch):
    files = {f"{number % 7}/{number}.png": str(number).encode() for number in range(3 * archive.CHUNK + 1)}
    found = inspect_packed(tmp_path / "a.zip", files)
    monkeypatch.setattr(parallel, "cpu_count", lambda: 2)
    assert inspect(tmp_path / "a.zip") == found
    assert sum(facts["files"] for facts in found.values()) == len(files)


# --- hostile archives ---

SAYS = {
    "parent": "member '../evil.txt' leads outside of the archive",
    "absolute": "member '/tmp/evil' leads outside of the archive",
    "backslash": r"member '..\\evil.txt' has a backslash in its name",
    "symlink": "member 'link' is a link",
    "device": "member 'device' is a device or a pipe",
    "duplicate": "two members are named 'twice.txt'",
    "encrypted": "member 'secret.txt' is encrypted",
    "bomb": "(a zip bomb)",
    "overlap": "share bytes",
}


@pytest.mark.parametrize("kind", sorted({*HOSTILE} - {"lying"}))
def test_a_hostile_archive_is_refused_in_one_line(kind, tmp_path):
    with pytest.raises(HostileError) as caught:
        inspect(hostile(tmp_path / "a.zip", kind))
    line = str(caught.value)
    assert line.startswith("refused: ")
    assert SAYS[kind] in line
    assert "\n" not in line


def test_a_member_that_is_longer_than_it_says_is_damaged(tmp_path):
    with pytest.raises(DamagedError, match=r"^.*lying\.bin.*$"):
        inspect(hostile(tmp_path / "a.zip", "lying"))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_writes_nothing(kind, tmp_path, monkeypatch):
    path = hostile(tmp_path / "x" / "y" / "a.zip", kind)
    (tmp_path / "x" / "y" / "z").mkdir()
    monkeypatch.chdir(tmp_path / "x" / "y" / "z")
    before, evil = everything_below(tmp_path), Path("/tmp/evil").exists()
    with pytest.raises((HostileError, DamagedError)):
        inspect(path)
    assert everything_below(tmp_path) == before
    assert Path("/tmp/evil").exists() == evil


@pytest.mark.parametrize(
    "name",
    ["..", "a/../b", "a/..", "/", "//a", "/a/", "../", "a\\b", "C:\\a", "a\0.png", "\0", ""],
)
def test_a_name_that_no_file_has_is_hostile(name, tmp_path):
    with pytest.raises(HostileError, match=r"^refused: member .*$"):
        inspect_packed(tmp_path / "a.zip", {"fine.txt": b"", name: b""})


def test_a_name_cannot_break_the_line(tmp_path):
    with pytest.raises(HostileError, match=r"^[^\n\r\x1b]*$"):
        inspect_packed(tmp_path / "a.zip", {"../a\n\r\x1b[2J": b""})


@pytest.mark.parametrize("name", ["./a/3.png", "a//3.png", "a/./3.png"])
def test_a_name_that_a_folder_would_spell_otherwise_is_refused_or_read_as_there(name, tmp_path):
    path = pack(tmp_path / "a.zip", FILES | {name: b"three"})
    try:
        inspect(path)
    except HostileError:
        return
    assert unpacked(path) == FILES | {"a/3.png": b"three"}


@pytest.mark.parametrize("name", ["a//b/1.png", "./a/1.png"])
def test_two_spellings_of_a_name_are_hostile(name, tmp_path):
    with pytest.raises(HostileError):
        inspect_packed(tmp_path / "a.zip", {name: b"one", "a/1.png": b"two", "a/b/1.png": b"two"})


def test_the_ratio_is_of_the_whole_archive_and_may_be_as_high_as_the_limit(tmp_path):
    files, how = {"zeros.bin": bytes(10**6)}, {"methods": (ZIP_DEFLATED,)}
    size = pack(tmp_path / "a.zip", files, **how).stat().st_size
    padding = 10**6 // archive.HIGHEST_RATIO - size
    assert inspect_packed(tmp_path / "a.zip", files, comment=bytes(padding), **how)["."]["files"] == 1
    with pytest.raises(HostileError, match="zip bomb"):
        inspect_packed(tmp_path / "a.zip", files, comment=bytes(padding - 1), **how)


def test_an_archive_may_unpack_to_the_limit_and_no_further(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.zip", FILES)
    unpacked = sum(map(len, FILES.values()))
    monkeypatch.setattr(archive, "LARGEST_ARCHIVE", unpacked)
    assert inspect(path)
    monkeypatch.setattr(archive, "LARGEST_ARCHIVE", unpacked - 1)
    with pytest.raises(HostileError, match="zip bomb"):
        inspect(path)


def test_members_with_the_same_bytes_for_data_are_hostile(tmp_path):
    path = tmp_path / "a.zip"
    with ZipFile(path, "w") as packed:
        packed.writestr(member("1.bin"), bytes(1000))
        for name in ("2.bin", "3.bin"):
            packed.filelist.append(copy(packed.filelist[0]))
            packed.filelist[-1].filename = name
    with pytest.raises(HostileError):
        inspect(path)


def test_a_member_is_not_unpacked_beyond_the_size_that_it_says(tmp_path):
    path = pack(tmp_path / "a.zip", {"lying.bin": bytes(2**26)}, methods=(ZIP_DEFLATED,))
    patch(path, "lying.bin", 22, 24, (10).to_bytes(4, "little"))
    tracemalloc.start()
    try:
        with pytest.raises(DamagedError):
            inspect(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


# --- damaged archives ---


@pytest.mark.parametrize("content", [b"", b"P", b"PK\3\4", PAGE, bytes(1000), b"PK\5\6" + b"\xff" * 18])
def test_what_is_no_archive_is_damaged(content, tmp_path):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DamagedError, match=r"^not a whole zip archive \(\w+\)$"):
        inspect(tmp_path / "a.zip")


@pytest.mark.parametrize("methods", [(ZIP_STORED,), (ZIP_DEFLATED,)])
def test_an_archive_that_is_cut_anywhere_is_damaged(methods, tmp_path):
    whole = pack(tmp_path / "a.zip", FILES, methods).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "a.zip").write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            inspect(tmp_path / "a.zip")


@pytest.mark.parametrize("methods", [(ZIP_STORED,), (ZIP_DEFLATED,), (ZIP_BZIP2,), (ZIP_LZMA,)])
def test_a_flipped_byte_in_any_data_is_damage(methods, tmp_path):
    path = pack(tmp_path / "a.zip", FILES, methods)
    whole = path.read_bytes()
    with ZipFile(path) as packed:
        infos = packed.infolist()
    for info in infos:
        start = info.header_offset + 30 + len(info.filename.encode())
        for at in range(start, start + info.compress_size):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            try:
                found = inspect(path)
            except DamagedError as error:
                assert "\n" not in str(error)
            else:  # bits behind the end of a compressed stream mean nothing
                assert methods != (ZIP_STORED,)
                path.write_bytes(whole)
                assert found == inspect(path)


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_a_damaged_member_is_named(method, tmp_path):
    path = pack(tmp_path / "a.zip", FILES, (method,))
    content = bytearray(path.read_bytes())
    start = content.index(b"a/1.png") + len(b"a/1.png")
    content[start] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"a/1\.png"):
        inspect(path)


def held_after(path):
    """Content of each file of an archive that passes, None for one that does not."""
    try:
        inspect(path)
    except (DamagedError, HostileError) as error:
        assert "\n" not in str(error)
        return None
    return unpacked(path)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_whatever_passes_with_a_flipped_byte_has_right_bytes(mask, tmp_path):
    path = pack(tmp_path / "a.zip", FILES, (ZIP_STORED, ZIP_DEFLATED))
    whole, passed = path.read_bytes(), 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
        held = held_after(path)
        passed += held is not None
        assert (held or {}).items() <= FILES.items()
    assert passed  # dates and the like


@pytest.mark.slow
@given(st.data())
@settings(max_examples=300, suppress_health_check=SAME)
def test_whatever_passes_with_changed_bytes_has_right_bytes(data):
    with tempfile.TemporaryDirectory() as folder:
        path = pack(Path(folder) / "a.zip", FILES, (ZIP_STORED, ZIP_DEFLATED))
        content = bytearray(path.read_bytes())
        places = st.integers(0, len(content) - 1)
        for at, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=4)):
            content[at] = byte
        cut, more = data.draw(st.tuples(places, places))
        if data.draw(st.booleans()):
            del content[cut : cut + more % 9]
        path.write_bytes(content)
        assert (held_after(path) or {}).items() <= FILES.items()


def test_a_member_that_its_directory_hides_is_missed(tmp_path):
    path = pack(tmp_path / "a.zip", {"1.txt": b"one", "2.txt": b"two", "3.txt": b"three"})
    with ZipFile(path) as packed:
        start = packed.start_dir
    content = bytearray(path.read_bytes())
    content[start + 32] = 46 + len("2.txt")  # the comment of 1.txt now takes in the entry of 2.txt
    path.write_bytes(content)
    with pytest.raises((DamagedError, HostileError)):
        inspect(path)


@pytest.mark.parametrize(("count", "fits"), [(5, True), (6, False)])
def test_the_directory_of_more_members_than_its_old_field_holds_is_compared_by_the_new_one(
    count, fits, tmp_path, zip64
):
    path = pack(tmp_path / "a.zip", FILES)
    content = bytearray(path.read_bytes())
    old, new = content.rindex(b"PK\5\6"), content.rindex(b"PK\6\6")
    content[old + 10 : old + 12] = b"\xff\xff"
    content[new + 32] = count
    path.write_bytes(content)
    if fits:
        assert unpacked(path) == FILES
    else:
        with pytest.raises(DamagedError, match="lists 5 members and announces 6"):
            inspect(path)


@pytest.mark.parametrize("method", [ZIP_BZIP2, ZIP_LZMA, 9, 99])
@pytest.mark.parametrize(
    "content", [b"II*\0" + bytes(100), b"\x89PNG" + bytes(20_000), b"II\5\0\x5d" + b"\xff" * 99]
)
def test_a_wrong_method_of_compression_is_damage(method, content, tmp_path):
    path = pack(tmp_path / "a.zip", {"a.tif": content})
    patch(path, "a.tif", 8, 10, method.to_bytes(2, "little"))
    with pytest.raises(DamagedError):
        inspect(path)


@pytest.mark.parametrize("offset", [2**64 - 1, 2**63, 2**63 - 1, 2**40])
def test_a_member_that_lies_beyond_the_end_is_damage(offset, tmp_path, zip64):
    path = pack(tmp_path / "a.zip", {"1.txt": b"one", "2.txt": b"two"})
    with ZipFile(path) as packed:
        start, old = packed.start_dir, packed.infolist()[1].header_offset
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<Q", old), start)
    content[at : at + 8] = struct.pack("<Q", offset)
    path.write_bytes(content)
    with pytest.raises(DamagedError):
        inspect(path)


# --- unpacking ---


@given(trees)
@settings(max_examples=60, suppress_health_check=SAME)
def test_an_archive_unpacks_to_the_files_of_its_folder_that_are_not_hidden(files):
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(unpack(Path(place) / "raw", files))
        path = zip_of(folder.root, Path(place) / "packed.zip", method=ZIP_DEFLATED)
        assert unpacked(path) == {name: folder.read(name) for name in folder.paths()}


def test_hidden_files_and_empty_folders_are_left_out(tmp_path):
    hidden = {"__MACOSX/._1.png": b"", ".DS_Store": b"", "a/.git/x": b"", ".b/y": b"", "empty/": b""}
    path = pack(tmp_path / "a.zip", FILES | hidden)
    assert unpacked(path) == FILES
    assert not (tmp_path / "unpacked a" / "__MACOSX").exists()


def test_a_folder_of_the_archive_s_own_name_is_left_out(tmp_path):
    path = pack(tmp_path / "zoo.zip", {f"zoo/{name}": content for name, content in FILES.items()})
    assert unpacked(path) == FILES


def test_many_members_are_unpacked_as_by_one_process(tmp_path, monkeypatch):
    files = {f"{number % 7}/{number}.bin": bytes([number % 256]) * number for number in range(400)}
    monkeypatch.setattr(parallel, "cpu_count", lambda: 2)
    assert unpacked(pack(tmp_path / "a.zip", files)) == files


def test_another_file_than_an_archive_is_copied(tmp_path):
    (tmp_path / "truth.csv").write_text("a,b\n")
    archive.unpack(tmp_path / "truth.csv", tmp_path / "raw")
    assert (tmp_path / "raw" / "truth.csv").read_text() == "a,b\n"


@pytest.mark.parametrize("other", ["A/1.png", "a/1.PNG", "A/2.png", "a/1.pnG/b"])
def test_names_that_many_disks_hold_for_one_are_refused_before_anything_is_written(tmp_path, other):
    path = pack(tmp_path / "a.zip", {"a/1.png": b"one", other: b"other"})
    with pytest.raises(OncovecError, match="would be one on many disks"):
        unpacked(path)
    assert not [each for each in (tmp_path / "unpacked a").rglob("*") if each.is_file()]


def test_a_member_that_was_damaged_since_it_was_checked_is_one_line(tmp_path):
    path = pack(tmp_path / "a.zip", FILES)
    inspect(path)
    content = bytearray(path.read_bytes())
    content[content.index(FILES["a/1.png"]) + 9] ^= 1
    path.write_bytes(content)
    with pytest.raises(OncovecError, match=r"^[^\n]*a/1\.png[^\n]* is damaged [^\n]*run again"):
        unpacked(path)


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_an_archive_that_was_replaced_since_is_one_line(tmp_path, content):
    path = pack(tmp_path / "a.zip", FILES)
    inspect(path)
    path.write_bytes(content)
    with pytest.raises(OncovecError, match="not a whole zip archive"):
        unpacked(path)
