import csv
import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from oncovec.core import tables
from oncovec.core.errors import OncovecError
from oncovec.core.files import new_folder, read_json, replacing, rounded, write_json, write_npz

REPOSITORY = Path(__file__).parents[2]

ways = pytest.mark.parametrize("way", [replacing, new_folder])


def killed(way, target):
    """Kill a process in the middle of writing; return the number that it had."""
    inside = "part.write_text('half')" if way is replacing else "(part / 'a.csv').write_text('half')"
    code = (
        "import os, pathlib, sys; from oncovec.core import files\n"
        f"with files.{way.__name__}(pathlib.Path(sys.argv[1])) as part:\n"
        f"    {inside}\n    os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    process = subprocess.Popen([sys.executable, "-c", code, target], env=environment)
    assert process.wait() == -signal.SIGKILL
    return process.pid


def fill(way, part, text):
    """Write a file, or a folder with one file."""
    (part if way is replacing else part / "a.csv").write_text(text)


def test_replacing_keeps_the_old_file_and_leaves_nothing_behind_when_the_block_fails(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@ways
def test_a_full_disk_is_one_line(tmp_path, way):
    with pytest.raises(OncovecError) as caught, way(tmp_path / "a.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value) == f"{tmp_path / 'a.csv'}: not written ([Errno 28] No space left on device)"
    assert not list(tmp_path.iterdir())


@ways
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_one_line(tmp_path, way):
    tmp_path.chmod(0o500)
    for target in (tmp_path / "a.csv", tmp_path / "new" / "a.csv"):
        with (
            pytest.raises(OncovecError, match=r"a\.csv: not written \(.*Permission denied"),
            way(target) as part,
        ):
            fill(way, part, "whole")
    tmp_path.chmod(0o700)


def test_a_table_whose_rows_end_in_an_error_leaves_the_old_one(tmp_path):
    def rows():
        yield [1]
        raise RuntimeError

    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        tables.write(path, tables.of(["x"], rows()))
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_dvc_never_records_what_a_killed_process_left_in_an_output(tmp_path):
    shutil.copy(REPOSITORY / ".dvcignore", tmp_path)
    (tmp_path / "once.sh").write_text(
        "mkdir out; echo 1 > out/a.csv\n"
        "[ -e again ] || (touch out/.x.123.part.csv; mkdir out/.y.123.part; touch out/.y.123.part/b)\n"
    )
    (tmp_path / "dvc.yaml").write_text("stages: {once: {cmd: sh once.sh, outs: [out]}}")

    def dvc(*arguments):
        command = [sys.executable, "-m", "dvc", *arguments]
        subprocess.run(command, cwd=tmp_path, env={**os.environ, "DVC_NO_ANALYTICS": "1"}, check=True)

    dvc("init", "-q", "--no-scm")
    dvc("repro", "-q")
    assert (tmp_path / "out/.x.123.part.csv").exists()
    first = (tmp_path / "dvc.lock").read_bytes()
    assert b"nfiles: 1\n" in first
    (tmp_path / "again").touch()
    dvc("repro", "-q", "--force")
    assert (tmp_path / "dvc.lock").read_bytes() == first
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.csv"]


def test_replacing_makes_the_folder_and_swaps_only_at_the_end(tmp_path):
    target = tmp_path / "new" / "a.npy"
    with replacing(target) as part:
        part.write_text("whole")
        assert not target.exists()
        assert part.parent == target.parent and part.suffix == target.suffix
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_new_folder_holds_nothing_of_the_old_one(tmp_path):
    target = tmp_path / "new" / "a"
    for text in ("first", "second"):
        with new_folder(target) as folder:
            assert folder == target and not list(folder.iterdir())
            (folder / text).write_text(text)
    assert list(tmp_path.rglob("*")) == [target.parent, target, target / "second"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_behind_when_the_block_of_a_new_folder_fails(tmp_path, error):
    target = tmp_path / "a"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(error), new_folder(target) as folder:
        (folder / "half").touch()
        raise error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("inside", ["a", "a/link"])
def test_of_a_link_that_a_folder_replaces_only_the_link_is_removed(tmp_path, inside):
    own, target = tmp_path / "own", tmp_path / "out" / "a"
    own.mkdir()
    (own / "picture").touch()
    link = target.parent / inside
    link.parent.mkdir(parents=True)
    link.symlink_to(own, target_is_directory=True)
    with new_folder(target) as part:
        (part / "b").touch()
    assert not target.is_symlink() and [path.name for path in target.iterdir()] == ["b"]
    assert [path.name for path in own.iterdir()] == ["picture"]


def test_a_folder_replaces_a_file(tmp_path):
    (tmp_path / "a").touch()
    with new_folder(tmp_path / "a"):
        pass
    assert (tmp_path / "a").is_dir() and list(tmp_path.iterdir()) == [tmp_path / "a"]


@ways
@pytest.mark.parametrize("name", ["a.csv", "ü [b]* \n.x.csv", "plain"])
def test_what_a_killed_process_left_is_gone_after_the_next_writing(tmp_path, way, name):
    target = tmp_path / name
    killed(way, target)
    assert target.exists() == (way is new_folder) and len(list(tmp_path.iterdir())) == 1
    with way(target) as part:
        fill(way, part, "whole")
    assert set(tmp_path.rglob("*")) == {target} | ({target / "a.csv"} if way is new_folder else set())


def test_what_a_running_process_writes_and_files_of_other_names_stay(tmp_path):
    pid = killed(replacing, tmp_path / "other")
    others = [f".b.{pid}.part.csv", f".a.b.{pid}.part.csv", f"xa.{pid}.part.csv"]
    for name in (*others, f".a.{os.getppid()}.part.csv"):
        (tmp_path / name).touch()
    before = set(tmp_path.iterdir())
    with replacing(tmp_path / "a.csv") as part:
        part.write_text("whole")
    assert set(tmp_path.iterdir()) == before | {tmp_path / "a.csv"}


def test_floats_are_rounded_at_any_depth_and_minus_zero_is_zero():
    found = rounded({"a": [0.12345678, (1.0,)], "b": -1e-9, "c": 7, "d": None})
    assert found == {"a": [0.123457, [1.0]], "b": 0.0, "c": 7, "d": None}
    assert str(found["b"]) == "0.0"


def test_numbers_of_libraries_become_plain_ones():
    numbers = {
        "float32": np.float32(1 / 3),
        "float16": np.float16(0.1),
        "longdouble": np.longdouble("0.12345678"),
        "integer": np.int64(2**62 + 1),
        "bool": np.bool_(True),
        "point": np.array(0.12345678, dtype=np.float32),
        "array": np.array([[0.1234567], [2]], dtype=np.float32),
        "tensor": torch.tensor([1, 2]),
        "decimal": Decimal("0.12345678"),
        "fraction": Fraction(1, 3),
        "text": np.str_("a"),
    }
    plain = {
        "float32": 0.333333,
        "float16": 0.099976,
        "longdouble": 0.123457,
        "integer": 2**62 + 1,
        "bool": True,
        "point": 0.123457,
        "array": [[0.123457], [2.0]],
        "tensor": [1, 2],
        "decimal": 0.123457,
        "fraction": 0.333333,
        "text": "a",
    }
    found = rounded(numbers)
    assert found == plain and {key: type(value) for key, value in found.items()} == {
        key: type(value) for key, value in plain.items()
    }
    assert type(rounded(True)) is bool and type(rounded(7)) is int


NAN = float("nan")


@pytest.mark.parametrize(
    "value",
    [
        NAN,
        float("inf"),
        -float("inf"),
        *(kind("nan") for kind in (np.float16, np.float32, np.float64, np.longdouble)),
        np.float32("-inf"),
        Decimal("NaN"),
        Decimal("Infinity"),
        np.array(NAN),
        np.array([0, NAN], dtype=np.float32),
        torch.tensor(NAN),
        (0.0, np.float32(NAN)),
    ],
)
def test_what_is_not_finite_is_never_written(tmp_path, value):
    path = tmp_path / "a.json"
    with pytest.raises(ValueError, match="not a finite number"):
        write_json(path, {"deep": [value]})
    with pytest.raises(ValueError, match="not a finite number"):
        tables.write(path, tables.of(["x"], [[value]]))
    assert not list(tmp_path.iterdir())


def test_an_npz_has_the_same_bytes_with_every_python_and_no_pickle(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array("é"), "c": np.zeros((0, 2))}
    write_npz(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
        assert list(read) == list(arrays)
        assert all(np.array_equal(read[name], array) for name, array in arrays.items())
        assert read["a"].dtype == np.float32
    content = (tmp_path / "a.npz").read_bytes()
    assert (
        hashlib.sha256(content).hexdigest()
        == "1708112ea2aa7952dd2d2364d023814aab49dafeb8074b0ea23bfdd8b4301a6c"
    )
    stream = io.BytesIO()
    write_npz(stream, arrays)
    assert stream.getvalue() == content
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(tmp_path / "b.npz", {"a": np.array([{}])})


def test_json_is_indented_readable_and_ends_with_a_newline(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": "Bösartig", "a": 1 / 3})
    assert path.read_bytes() == '{\n  "b": "Bösartig",\n  "a": 0.333333\n}\n'.encode()
    assert read_json(path) == json.loads(path.read_text(encoding="utf-8"))


def test_csv_has_unix_line_ends_and_empty_cells_for_none(tmp_path):
    path = tmp_path / "a.csv"
    tables.write(path, tables.of(("x", "y"), iter([(None, 'a "b", c'), (2 / 3, "ü")])))
    assert b"\r" not in path.read_bytes()
    with path.open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["x", "y"], ["", 'a "b", c'], ["0.666667", "ü"]]


@pytest.mark.parametrize("cell", ["a\rb", "a\r\nb", "\n", '"', "", "a,b", " ü "])
def test_any_text_is_read_back_as_it_was(tmp_path, cell):
    path = tmp_path / "a.csv"
    tables.write(path, tables.of(["image", "label"], [["first", "x"], [cell, "y"], [cell, cell]]))
    with path.open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream))[1:] == [["first", "x"], [cell, "y"], [cell, cell]]
