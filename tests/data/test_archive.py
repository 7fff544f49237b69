import pickle
import shutil
import struct
import tempfile
import tracemalloc
import zipfile
from concurrent.futures import ProcessPoolExecutor
from copy import copy
from multiprocessing import get_context
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback import HOSTILE, PAGE, hostile, member, patch, zip_of

from oncovec.core import parallel
from oncovec.core.errors import OncovecError
from oncovec.core.parallel import ordered_map
from oncovec.data import index
from oncovec.data import layouts as datasets
from oncovec.data.decode import UnreadableImageError, probe
from oncovec.data.download import archive, mounts
from oncovec.data.download.archive import DamagedError, HostileError
from oncovec.data.download.mounts import Archives, Mount
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


def tree_of(*paths):
    return Archives("zoo", tuple(Mount(path) for path in paths))


def inspect(path):
    """Inspect what lies there now; nothing is known of what lay there before."""
    mounts.forget()
    return archive.inspect(path)


def inspect_packed(path, files, **how):
    return inspect(pack(path, files, **how))


def everything_below(root):
    return {path: path.is_file() and path.read_bytes() for path in root.rglob("*")}


@pytest.fixture(autouse=True)
def forget():
    """Leave no archive open behind."""
    yield
    mounts.forget()


@pytest.fixture
def here(monkeypatch):
    """Work in this process, so that thousands of archives are quick."""
    monkeypatch.setattr(parallel, "cpu_count", lambda: 1)


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
    tree = tree_of(tmp_path / "a.zip")
    assert {path: tree.read(path) for path in tree.paths()} == FILES


@given(trees, st.randoms(use_true_random=False))
@settings(max_examples=40, suppress_health_check=SAME)
def test_the_order_of_the_members_does_not_matter(here, files, random):
    shuffled = dict(random.sample(list(files.items()), len(files)))
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "one.zip", Path(folder) / "other.zip"
        assert inspect_packed(one, files) == inspect_packed(other, shuffled, methods=(ZIP_DEFLATED,))


@given(trees, trees)
@settings(max_examples=60, suppress_health_check=SAME)
def test_other_files_are_described_differently(here, files, others):
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
    monkeypatch.setattr(parallel, "cpu_count", lambda: 1)
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
    assert tree_of(path).paths() == Folder(unpack(tmp_path / "a", FILES | {name: b"three"})).paths()


@pytest.mark.parametrize("name", ["a//b/1.png", "./a/1.png"])
def test_two_spellings_of_a_name_are_hostile(name, tmp_path):
    with pytest.raises(HostileError):
        inspect_packed(tmp_path / "a.zip", {name: b"one", "a/1.png": b"two", "a/b/1.png": b"two"})


def test_a_file_that_does_not_fit_into_memory_is_unreadable_and_the_others_are_not(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.zip", {"big.bin": b"too big", "small.bin": b"small"})
    assert inspect(path)
    monkeypatch.setattr(archive, "LARGEST_MEMBER", 6)
    assert tree_of(path).read("small.bin") == b"small"
    with pytest.raises(OSError, match="7 bytes in one file"):
        tree_of(path).read("big.bin")


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


def test_a_member_is_not_unpacked_beyond_the_size_that_it_says(tmp_path, here):
    path = pack(tmp_path / "a.zip", {"lying.bin": bytes(2**26)}, methods=(ZIP_DEFLATED,))
    patch(path, "lying.bin", 22, 24, (10).to_bytes(4, "little"))
    mounts.forget()
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
def test_an_archive_that_is_cut_anywhere_is_damaged(methods, tmp_path, here):
    whole = pack(tmp_path / "a.zip", FILES, methods).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "a.zip").write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            inspect(tmp_path / "a.zip")


@pytest.mark.parametrize("methods", [(ZIP_STORED,), (ZIP_DEFLATED,), (ZIP_BZIP2,), (ZIP_LZMA,)])
def test_a_flipped_byte_in_any_data_is_damage(methods, tmp_path, here):
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
    tree = tree_of(path)
    return {name: tree.read(name) for name in tree.paths()}


@pytest.mark.parametrize("mask", [0x01, 0x08, 0x0E, 0x80, 0xFF])
def test_whatever_passes_with_a_flipped_byte_has_right_bytes(mask, tmp_path, here):
    path = pack(tmp_path / "a.zip", FILES, (ZIP_STORED, ZIP_DEFLATED))
    whole, passed = path.read_bytes(), 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
        held = held_after(path)
        passed += held is not None
        assert (held or {}).items() <= FILES.items()
    assert passed  # dates and the like


@given(st.data())
@settings(max_examples=300, suppress_health_check=SAME)
def test_whatever_passes_with_changed_bytes_has_right_bytes(here, data):
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


# --- the tree ---


@given(trees)
@settings(max_examples=60, suppress_health_check=SAME)
def test_the_tree_of_an_archive_is_that_of_a_folder_with_the_same_files(here, files):
    with tempfile.TemporaryDirectory() as place:
        folder = Folder(unpack(Path(place) / "raw", files))
        tree = tree_of(zip_of(folder.root, Path(place) / "a.zip", method=ZIP_DEFLATED))
        assert tree.paths() == folder.paths()
        assert tree.folders() == sorted({path.split("/")[0] for path in folder.paths() if "/" in path})
        assert set(tree.folders()) <= set(folder.folders())
        for path in folder.paths():
            assert tree.read(path) == folder.read(path)
            assert tree.problem(path) == folder.problem(path) == ""
        mounts.forget()


def test_hidden_files_are_passed_over_as_in_a_folder(tmp_path):
    hidden = {
        "__MACOSX/._1.png": b"",
        "__MACOSX/a/._1.png": b"",
        ".DS_Store": b"",
        "a/.git/x": b"",
        ".b/y": b"",
    }
    path = pack(tmp_path / "a.zip", FILES | hidden)
    assert tree_of(path).paths() == Folder(unpack(tmp_path / "raw", FILES | hidden)).paths() == sorted(FILES)
    assert tree_of(path).folders() == ["a", "ü"]


def test_explicit_folders_are_no_files(tmp_path):
    tree = tree_of(pack(tmp_path / "a.zip", {"a/": b"", "empty/": b"", "a/1.png": b"one"}))
    assert tree.paths() == ["a/1.png"]
    assert tree.folders() == ["a"]


def test_mounts_lie_side_by_side_below_their_prefixes(tmp_path):
    one, other = {"x/1.png": b"one", "2.png": b"two"}, {"x/1.png": b"other one"}
    mounts = (
        Mount(pack(tmp_path / "one.zip", one), "me/one/"),
        Mount(pack(tmp_path / "other.zip", other), "me/other/"),
        Mount(unpack(tmp_path / "tables", {"truth.csv": b"a,b\n"}) / "truth.csv"),
    )
    raw = {f"me/one/{name}": content for name, content in one.items()}
    raw |= {f"me/other/{name}": content for name, content in other.items()} | {"truth.csv": b"a,b\n"}
    tree, folder = Archives("zoo", mounts), Folder(unpack(tmp_path / "raw", raw))
    assert tree.paths() == folder.paths()
    assert tree.folders() == folder.folders() == ["me"]
    assert {path: tree.read(path) for path in tree.paths()} == raw


def test_a_message_names_the_archive_and_the_file_in_it(tmp_path):
    path = pack(tmp_path / "one.zip", {"x/1.png": b"one"})
    table = unpack(tmp_path, {"truth.csv": b""}) / "truth.csv"
    tree = Archives("zoo", (Mount(path, "me/one/"), Mount(table)))
    assert str(tree) == "zoo (remote)"
    assert tree.where("me/one/x/1.png") == f"{path}: x/1.png"
    assert tree.where("truth.csv") == str(table)
    assert tree.where("none.png") == "zoo (remote): none.png"


@pytest.mark.parametrize("path", ["none.png", "x", "x/", "", ".", "a\0b", "1.png", "me", "/me/x/1.png"])
def test_a_path_that_is_not_there_is_a_problem_and_no_file(path, tmp_path):
    tree = Archives("zoo", (Mount(pack(tmp_path / "a.zip", {"x/1.png": b"one"}), "me/"),))
    assert tree.problem(path) == "is not there; paths are relative to zoo (remote)"
    with pytest.raises(FileNotFoundError):
        tree.read(path)


def test_nothing_is_written_by_reading(tmp_path, monkeypatch):
    path = pack(tmp_path / "zips" / "a.zip", FILES, (ZIP_DEFLATED,))
    monkeypatch.chdir(tmp_path)
    before = everything_below(tmp_path)
    inspect(path)
    tree = tree_of(path)
    assert {name: tree.read(name) for name in tree.paths()} == FILES
    assert everything_below(tmp_path) == before


# --- the tree in other processes ---


@pytest.fixture
def large(tmp_path):
    """A tree of many members, and their content."""
    files = {f"{number}.png": number.to_bytes(2, "big") * (500 + 17 * (number % 50)) for number in range(300)}
    return tree_of(pack(tmp_path / "large.zip", files, (ZIP_STORED, ZIP_DEFLATED))), files


def test_several_processes_read_right_bytes_after_the_parent_has_read(large):
    tree, files = large
    assert tree.read("7.png") == files["7.png"]
    wanted = list(files) * 3
    found = []
    for number, content in enumerate(ordered_map(tree.read, wanted, 2)):
        found.append(content)
        name = wanted[-1 - number]
        assert tree.read(name) == files[name]  # the parent reads on meanwhile
    assert found == [files[name] for name in wanted]


def test_a_copy_for_a_worker_is_equal_and_does_not_grow_with_the_members(large, tmp_path):
    tree, files = large
    before = pickle.dumps(tree)
    tree.read(tree.paths()[0])
    assert pickle.dumps(tree) == before
    assert pickle.loads(before) == tree
    assert len(before) < 500
    pack(tree.mounts[0].path, dict(list(files.items())[:1]))
    mounts.forget()
    assert pickle.dumps(tree) == before


def test_a_spawned_process_reads_the_same(large):
    tree, files = large
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(tree.paths).result() == sorted(files)
        assert pool.submit(tree.read, "9.png").result() == files["9.png"]


# --- damage after checking ---


@pytest.fixture
def damaged(tmp_path):
    """A checked tree of two members, one of which was damaged since."""
    path = pack(tmp_path / "a.zip", {"a/1.png": bytes(100), "b/2.png": b"two" * 9})
    assert inspect(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"two") + 4] ^= 1
    path.write_bytes(content)
    mounts.forget()
    return tree_of(path)


def test_a_member_that_was_damaged_since_is_one_line_that_says_what_to_run(damaged):
    with pytest.raises(OncovecError, match=r"^.*a\.zip: b/2\.png: damaged since.*`dvc repro .*download@.*$"):
        damaged.read("b/2.png")
    assert damaged.read("a/1.png") == bytes(100)


@pytest.mark.parametrize("method", [ZIP_DEFLATED, ZIP_BZIP2])
def test_damage_anywhere_in_a_compressed_member_is_one_line(method, tmp_path):
    path = pack(tmp_path / "a.zip", {"1.png": FILES["a/1.png"]}, (method,))
    whole = path.read_bytes()
    for at in range(30 + len("1.png"), 100):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        mounts.forget()
        with pytest.raises(OncovecError, match="damaged since it was fetched"):
            tree_of(path).read("1.png")


def test_a_member_that_was_damaged_since_is_no_unreadable_image(damaged):
    with pytest.raises(OncovecError) as caught:
        probe(damaged, "b/2.png")
    assert not isinstance(caught.value, UnreadableImageError)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_member_that_was_damaged_since_ends_the_index(damaged, workers):
    with pytest.raises(OncovecError, match="damaged since it was fetched"):
        index.build(damaged, datasets.read("folders", damaged), workers)


@pytest.mark.parametrize("content", [None, b"", PAGE, b"PK\5\6"])
@pytest.mark.parametrize("ask", ["paths", "read"])
def test_an_archive_that_is_gone_or_replaced_is_one_line(ask, content, tmp_path):
    path = pack(tmp_path / "a.zip", FILES)
    tree = tree_of(path)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    mounts.forget()
    with pytest.raises(OncovecError, match=r"^.*a\.zip.*$"):
        tree.paths() if ask == "paths" else tree.read("a/1.png")


# --- what reads a tree ---


@pytest.fixture
def raw(tmp_path, picture):
    """Images of two classes, a copy, a file that is no image, and a table."""
    root = tmp_path / "raw"
    for number in range(6):
        picture(root / "ab"[number % 2] / f"{number}.png", seed=number)
    shutil.copy(root / "a/0.png", root / "b/copy.png")
    unpack(root, {"a/broken.png": b"no image", "labels.csv": b"image,label\na/0.png,x\nb/1.png,y\n"})
    return root


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("layout", ["folders", "csv"])
def test_the_index_of_an_archive_is_that_of_its_folder(layout, workers, raw, tmp_path):
    folder, tree = Folder(raw), tree_of(zip_of(raw, tmp_path / "a.zip"))
    listing = datasets.read(layout, tree)
    assert listing == datasets.read(layout, folder)
    assert index.build(tree, listing, workers) == index.build(folder, listing, workers=1)
