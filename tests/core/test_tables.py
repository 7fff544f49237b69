import pytest

from oncovec.core.errors import OncovecError
from oncovec.core.tables import as_csv, read_table


@pytest.fixture
def table(tmp_path):
    """Read a file of these bytes."""

    def read(content, columns=()):
        path = tmp_path / "a.csv"
        path.write_bytes(content)
        return read_table(path, columns)

    return read


def test_rows_are_dicts_of_text(table):
    assert table('x,y\n1,\n"a, b",ü\n'.encode(), ["y"]) == [{"x": "1", "y": ""}, {"x": "a, b", "y": "ü"}]


def test_a_header_alone_has_no_rows(table):
    assert table(b"x,y\n", ["x"]) == []


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(OncovecError, match=r"nosuch.csv: not there yet; run `dvc repro`$"):
        read_table(tmp_path / "nosuch.csv")


def test_what_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(OncovecError, match=r"cannot be read \(Is a directory\)$"):
        read_table(tmp_path)


def test_a_table_as_text_is_what_is_written_to_files():
    assert as_csv(["x", "y"], [[1 / 3, "a\rb"], [None, "ü"]]) == 'x,y\n"0.333333","a\rb"\n,ü'


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


@pytest.mark.parametrize("last", [b"3", b"3,4,5\n"])
def test_a_row_of_another_length_is_refused_by_its_number(table, last):
    with pytest.raises(OncovecError, match=r"a\.csv: row 3 is cut"):
        table(b"x,y\n1,2\n" + last)
