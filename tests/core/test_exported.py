import json
import struct
import zipfile
from pathlib import Path

import pytest
import tiny

from oncovec.core.errors import OncovecError
from oncovec.core.exported import ABOUT, FORMAT, ExportedParts, is_exported, pack

KNOWN = {"format": FORMAT, "system": "head", "oncovec": "0.1.0", "bootstrap": 200, "seed": 3}
MEMBERS = {ABOUT: json.dumps(KNOWN).encode(), Path("metrics/external/far.json"): b"{}", Path("a/b"): b"text"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "head.oncovec"
    path.write_bytes(pack(MEMBERS))
    return path


def refused(file):
    with pytest.raises(OncovecError) as error:
        ExportedParts(file)
    line = tiny.one_line(error)
    assert line.startswith(f"{file}: ")
    return line


def zipped(file, about, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(ABOUT.as_posix(), about)
    return file


def test_every_member_is_read_as_it_was_packed(file):
    parts = ExportedParts(file)
    assert {path: parts.read(path) for path in MEMBERS} == MEMBERS
    assert (parts.name, parts.bootstrap()) == ("head", (200, 3))
    assert parts.below(Path("metrics/external")) == [Path("metrics/external/far.json")]
    assert parts.below(Path("metrics")) == []


def test_members_are_stored_without_their_times(file):
    with zipfile.ZipFile(file) as archive:
        kinds = {(each.compress_type, each.date_time) for each in archive.infolist()}
    assert kinds == {(zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))}


def test_a_missing_part_is_named(file):
    with pytest.raises(OncovecError, match=r"head\.oncovec: no exported system: it has no c/d") as error:
        ExportedParts(file).read(Path("c/d"))
    assert tiny.one_line(error)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert refused(tmp_path / "no.oncovec").endswith("no such file")
    (tmp_path / "a.oncovec").mkdir()
    assert refused(tmp_path / "a.oncovec").endswith("a folder")


def test_a_file_cut_anywhere_is_refused(file):
    whole = file.read_bytes()
    for size in range(0, len(whole), 7):
        file.write_bytes(whole[:size])
        assert "get or export the file again" in refused(file)


def test_a_changed_byte_is_refused_or_changes_no_part(file):
    whole, found = file.read_bytes(), 0
    for position in range(len(whole)):
        file.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            parts = ExportedParts(file)
            content = {path: parts.read(path) for path in MEMBERS}
        except OncovecError as error:
            found += 1
            assert "\n" not in str(error)
        else:
            assert content == MEMBERS
    assert found > sum(map(len, MEMBERS.values()))


@pytest.mark.parametrize("about", ["", "[]", "{}", "\xff", json.dumps(KNOWN | {"system": "../head"})])
def test_another_zip_is_refused(file, about):
    assert "not of an exported system" in refused(zipped(file, about))


def test_a_zip_of_something_else_is_refused(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", "text")
    assert "no exported system: it has no about.json" in refused(file)


def test_a_newer_format_is_refused_with_the_version_that_reads_it(file):
    newer = {"format": FORMAT + 1, "oncovec": "9.9"}
    expected = f"written by a newer Oncovec, '9.9' (format {FORMAT + 1}; this one reads {FORMAT})"
    assert expected in refused(zipped(file, json.dumps(newer)))


def test_a_packed_member_is_refused(file):
    line = refused(zipped(file, json.dumps(KNOWN | {"x": "a" * 10**6}), zipfile.ZIP_DEFLATED))
    assert "about.json is not stored as it is" in line


def test_a_false_size_is_refused_before_memory_is_taken(file):
    whole = bytearray(file.read_bytes())
    entry = whole.index(b"PK\x01\x02")
    whole[entry + 20 : entry + 28] = struct.pack("<II", 2**31, 2**31)
    file.write_bytes(whole)
    assert "about.json is not stored as it is" in refused(file)


@pytest.mark.parametrize(("system", "expected"), [("a.oncovec", True), ("head", False), (None, False)])
def test_the_ending_of_its_name_makes_an_exported_file(system, expected):
    assert is_exported(system) is expected
    assert is_exported(Path("x") / str(system)) is expected
