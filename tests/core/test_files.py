import csv
import json

import numpy as np
import pytest

from oncovec.core.files import read_json, replacing, rounded, write_csv, write_json


def test_replacing_keeps_the_old_file_and_leaves_nothing_behind_when_the_block_fails(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_replacing_makes_the_folder_and_swaps_only_at_the_end(tmp_path):
    target = tmp_path / "new" / "a.npy"
    with replacing(target) as part:
        part.write_text("whole")
        assert not target.exists()
        assert part.parent == target.parent and part.suffix == target.suffix
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_floats_are_rounded_at_any_depth_and_minus_zero_is_zero():
    found = rounded({"a": [0.12345678, (1.0,)], "b": -1e-9, "c": 7, "d": None})
    assert found == {"a": [0.123457, [1.0]], "b": 0.0, "c": 7, "d": None}
    assert str(found["b"]) == "0.0"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_what_is_not_finite_is_never_written(tmp_path, value):
    path = tmp_path / "a.json"
    with pytest.raises(ValueError, match="not a finite number"):
        write_json(path, {"deep": [value]})
    with pytest.raises(ValueError, match="not a finite number"):
        write_csv(path, ["x"], [[value]])
    assert not list(tmp_path.iterdir())


def test_json_is_indented_readable_and_ends_with_a_newline(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": "Bösartig", "a": 1 / 3})
    assert path.read_bytes() == '{\n  "b": "Bösartig",\n  "a": 0.333333\n}\n'.encode()
    assert read_json(path) == json.loads(path.read_text(encoding="utf-8"))


def test_csv_has_unix_line_ends_and_empty_cells_for_none(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, ("x", "y"), iter([(None, 'a "b", c'), (2 / 3, "ü")]))
    assert b"\r" not in path.read_bytes()
    with path.open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["x", "y"], ["", 'a "b", c'], ["0.666667", "ü"]]
