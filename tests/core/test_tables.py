import pytest

from oncovec.core import tables
from oncovec.core.errors import OncovecError


@pytest.fixture
def table(tmp_path):
    """Read a file of these bytes."""

    def read(content, columns=()):
        path = tmp_path / "a.csv"
        path.write_bytes(content)
        return tables.read(path, columns).to_dict("records")

    return read


def test_cells_are_text(table):
    assert table('x,y\n1,\n"a, b",ü\n'.encode(), ["y"]) == [{"x": "1", "y": ""}, {"x": "a, b", "y": "ü"}]


def test_a_header_alone_has_no_rows(table):
    assert table(b"x,y\n", ["x"]) == []


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(OncovecError, match=r"nosuch\.csv: not there; .*`dvc pull`.*`dvc repro`\)$"):
        tables.read(tmp_path / "nosuch.csv")


def test_what_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(OncovecError, match=r"cannot be read \(Is a directory\)$"):
        tables.read(tmp_path)


def test_a_table_as_text_is_what_is_written_to_files():
    assert tables.as_csv(tables.of(["x", "y"], [[1 / 3, "b"], [None, "ü"]])) == "x,y\n0.333333,b\n,ü"


def test_a_missing_column_is_named_with_those_that_there_are(table):
    with pytest.raises(OncovecError, match=r"a.csv: no column 'z'; there are x, y$"):
        table(b"x,y\n1,2\n", ["x", "z"])
    with pytest.raises(OncovecError, match=r"a.csv: no column 'z'; there are none$"):
        table(b"", ["z"])


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x,y\n1,\xe9\n"])
def test_what_is_no_text_is_one_line(table, content):
    with pytest.raises(OncovecError, match="not a CSV table") as caught:
        table(content)
    assert "\n" not in str(caught.value)


def test_a_row_that_is_too_long_is_refused_by_its_number(table):
    with pytest.raises(
        OncovecError, match=r"a\.csv: not a CSV table \(.*Expected 2 fields in line 3, saw 3\)"
    ):
        table(b"x,y\n1,2\n3,4,5\n")


@pytest.mark.parametrize("cell", ["NA", "nan", "null", "1e5", "007", "True", ""])
def test_text_that_means_something_to_pandas_stays_text(table, cell):
    assert table(f"x,y\n{cell},1\n".encode()) == [{"x": cell, "y": "1"}]
