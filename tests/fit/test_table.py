"""Tables as people write them: dialects are recognised and said, mistakes are named by line and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pytest

from odec.diagnostics import OdecError
from odec.fit.data import Data, read_data


def read(tmp_path: Path, text: str | bytes, *, names: tuple[str, ...] = ("x", "y"), time: str = "t") -> Data:
    path = tmp_path / "data.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_data(path, names, time=time, others={"k": "a parameter"})


def codes(error: pytest.ExceptionInfo[OdecError]) -> list[str]:
    return [diagnostic.code for diagnostic in error.value.diagnostics]


PLAIN = ([0.0, 1.0, 2.0], [3.0, 2.1, 1.5])
SAME = {
    "comma": "t,x\n0,3\n1,2.1\n2,1.5\n",
    "semicolon": "t;x\n0;3\n1;2.1\n2;1.5\n",
    "tab": "t\tx\n0\t3\n1\t2.1\n2\t1.5\n",
    "blanks between": "t  x\n0  3\n1  2.1\n2  1.5\n",
    "decimal comma, semicolon": "t;x\n0;3,0\n1;2,1\n2;1,5\n",
    "decimal comma, tab": "t\tx\n0\t3,0\n1\t2,1\n2\t1,5\n",
    "decimal comma, quoted": 't,x\n0,"3,0"\n1,"2,1"\n2,"1,5"\n',
    "byte-order mark": "\ufefft,x\n0,3\n1,2.1\n2,1.5\n",
    "UTF-16": "t,x\n0,3\n1,2.1\n2,1.5\n".encode("utf-16"),
    "CRLF": "t,x\r\n0,3\r\n1,2.1\r\n2,1.5\r\n",
    "CR": "t,x\r0,3\r1,2.1\r2,1.5\r",
    "no end of line": "t,x\n0,3\n1,2.1\n2,1.5",
    "blank lines": "\n\nt,x\n0,3\n\n1,2.1\n,\n2,1.5\n\n",
    "comments": "# by hand\nt,x\n0,3\n  # more\n1,2.1\n2,1.5\n",
    "quoted headers with blanks": ' "t" , "x" \n0, 3\n1, 2.1\n2, 1.5\n',
    "columns in another order": "x,t\n3,0\n2.1,1\n1.5,2\n",
    "rows in another order": "t,x\n2,1.5\n0,3\n1,2.1\n",
    "row without a measurement": "t,x\n0,3\n1,2.1\n2,1.5\n3,\n",
    "separator at the line's end": "t,x,\n0,3,\n1,2.1,\n2,1.5,\n",
    "row numbers as pandas writes them": ",t,x\n0,0,3\n1,1,2.1\n2,2,1.5\n",
    "bars": "t|x\n0|3\n1|2.1\n2|1.5\n",
    "separator said as for Excel": "sep=;\nt;x\n0;3\n1;2.1\n2;1.5\n",
    "exponents": "t,x\n0e0,.3e1\n1,21E-1\n2,+1.5\n",
}


@pytest.mark.parametrize("dialect", SAME)
def test_dialects_of_one_table_read_the_same(tmp_path: Path, dialect: str) -> None:
    data = read(tmp_path, SAME[dialect])
    assert data.times.tolist() == PLAIN[0]
    assert data.values[:, 0].tolist() == PLAIN[1]


def test_decimal_commas_are_said(tmp_path: Path) -> None:
    (note,) = read(tmp_path, SAME["decimal comma, semicolon"]).notes
    assert note.code == "W0501"
    assert note.severity == "warning"
    assert "`3,0` is 3.0" in str(note)


def test_points_say_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, SAME["semicolon"]).notes == ()


def test_commas_that_are_both_separator_and_decimal_are_not_two_columns(tmp_path: Path) -> None:
    with pytest.raises(OdecError) as error:
        read(tmp_path, "t,x\n0,3,0\n1,2,1\n")
    assert codes(error) == ["E0507"]
    assert "line 2" in str(error.value)
    assert "decimal comma" in str(error.value)


def test_short_row_is_not_filled(tmp_path: Path) -> None:
    with pytest.raises(OdecError) as error:
        read(tmp_path, "t,x,y\n0,1,2\n1,2\n")
    assert codes(error) == ["E0507"]
    assert "line 3" in str(error.value)


def test_mixed_decimal_signs_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(OdecError) as error:
        read(tmp_path, "t;x\n0;1.234,5\n1;2.5\n2;1,5\n")
    assert codes(error) == ["E0503"]


def test_empty_nan_and_na_are_missing_and_zero_is_not(tmp_path: Path) -> None:
    data = read(tmp_path, "t,x,y\n0,,1\n1,NaN,0\n2,NA,3\n3,0,nan\n")
    assert np.isnan(data.values[:3, 0]).all()
    assert data.counts == {"x": 1, "y": 3}


def test_cells_that_are_no_numbers_are_named_with_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(OdecError) as error:
        read(tmp_path, "# note\nt,x,y\n0,<0.1,1\n\n1,2,n.d.\nsoon,1,1\n,1,1\n2,inf,1\n")
    assert codes(error) == ["E0503"] * 5
    text = str(error.value)
    for part in (
        "line 3",
        "`<0.1`",
        "line 5",
        "`n.d.`",
        "column `y`",
        "line 6",
        "`soon` is not a time",
        "line 7",
        "`inf`",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("t;x\n0;3.000,5\n", "without thousands separators"),
        ("t;x\n0;3,000.5\n", "without thousands separators"),
        ("t,x\n0,1 000\n", "without thousands separators"),
        ("t,x\n0,1e308\n", "choose a larger unit"),
        ("t,x\nsoon,1\n", "a time is a finite number"),
        ("t,x\n0,n.d.\n", "a missing value is"),
        ('t,x\n0,"3,000"\n1,"2,100"\n', "`3,000` in line 2 of"),
        ('t,x\n0,"3,000"\n1,"2,100"\n', "may mean 3.000 or 3000"),
    ],
)
def test_the_cure_fits_the_cell(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(OdecError) as error:
        read(tmp_path, text)
    assert codes(error) == ["E0503"]
    assert part in str(error.value)


def test_many_wrong_cells_are_counted_not_listed(tmp_path: Path) -> None:
    with pytest.raises(OdecError) as error:
        read(tmp_path, "t,x\n" + "1,?\n" * 50)
    assert len(error.value.diagnostics) == 11
    assert "40 more" in str(error.value)


@pytest.mark.parametrize(
    ("column", "cure"), [("X", "did you mean `x`"), ("k", "a parameter"), ("prey", "measured may be")]
)
def test_column_that_names_nothing_gets_a_cure(tmp_path: Path, column: str, cure: str) -> None:
    with pytest.raises(OdecError) as error:
        read(tmp_path, f"t,x,{column}\n0,1,2\n")
    assert codes(error) == ["E0501"]
    assert cure in str(error.value)


@pytest.mark.parametrize(
    ("name", "typed"), [("year", "year"), ("Time (h)", "'Time (h)'"), ("T", "T"), ("day_no", "day_no")]
)
def test_missing_time_column_names_what_there_is(tmp_path: Path, name: str, typed: str) -> None:
    with pytest.raises(OdecError) as error:
        read(tmp_path, f"{name},x\n1900,1\n")
    assert codes(error) == ["E0502"]
    assert f"did you mean `{name}`? Name it with `--time {typed}`" in str(error.value)


def test_time_column_of_another_name(tmp_path: Path) -> None:
    assert read(tmp_path, "year,x\n1900,1\n", time="year").times.tolist() == [1900.0]


def test_header_of_numbers_is_a_missing_header(tmp_path: Path) -> None:
    with pytest.raises(OdecError) as error:
        read(tmp_path, "0,1\n1,2\n")
    assert codes(error) == ["E0502"]


@pytest.mark.parametrize("text", ["t,x\n", "t,x\n0,\n1,\n", "t\n0\n1\n"])
def test_nothing_measured_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(OdecError) as error:
        read(tmp_path, text)
    assert codes(error) == ["E0504"]


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"# only this\n", b"\x89PNG\r\n\x1a\n\0", b"t,x\n0,\xe9\n", b"t,x\n0,\0\n"]
)
def test_files_that_are_no_table(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(OdecError) as error:
        read(tmp_path, content)
    assert codes(error) == ["E0506"]


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(OdecError) as error:
            read_data(path, ["x"])
        assert codes(error) == ["E0506"]


def test_column_named_twice_or_not_at_all(tmp_path: Path) -> None:
    for text in ("t,x,x\n0,1,2\n", "t,,x\n0,7,1\n"):
        with pytest.raises(OdecError) as error:
            read(tmp_path, text)
        assert codes(error) == ["E0507"]


def test_names_are_normalised_as_in_the_language(tmp_path: Path) -> None:
    assert read(tmp_path, "t,ω₁\n0,1\n", names=("ω1",)).names == ("ω1",)


def test_result_does_not_depend_on_the_order_of_rows_and_columns(tmp_path: Path) -> None:
    one = read(tmp_path, "t,x,y\n0,1,2\n1,3,\n1,2,5\n1,,4\n")
    other = read(tmp_path, "y,t,x\n4,1,\n5,1,2\n2,0,1\n,1,3\n")
    assert one.names == other.names
    np.testing.assert_array_equal(one.times, other.times)
    np.testing.assert_array_equal(one.values, other.values)


def test_frames_and_dicts_read_like_files(tmp_path: Path) -> None:
    columns = {"t": [0, 1, 2], "x": [0.1, None, 1e-30], "y": [1, 2, float("nan")]}
    for data in (read_data(columns, ["x", "y"]), read_data(pandas.DataFrame(columns), ["x", "y"])):
        np.testing.assert_array_equal(data.values, [[0.1, 1], [np.nan, 2], [1e-30, np.nan]])
        assert len(data.digest) == 64


@pytest.mark.parametrize("data", [None, [[0, 3]], 3])
def test_what_is_no_table_is_said(data: object) -> None:
    with pytest.raises(OdecError, match="is not a table") as error:
        read_data(data, ["x"])
    assert codes(error) == ["E0506"]


def test_columns_of_different_length_are_an_error() -> None:
    with pytest.raises(OdecError) as error:
        read_data({"t": [0, 1], "x": [1]}, ["x"])
    assert codes(error) == ["E0507"]


@pytest.mark.parametrize("case", ["D01-csv-dialect", "D03-csv-bom-crlf"])
def test_shared_cases(shared: Path, case: str) -> None:
    data = read_data(shared / "cases" / case / "data.csv", ["x"])
    expected = {"D01-csv-dialect": [3.0, 2.1, 1.5, 0.7], "D03-csv-bom-crlf": [3.0, 2.1, 1.5]}
    assert data.values[:, 0].tolist() == expected[case]


def test_columns_are_matched_by_name_g03(shared: Path) -> None:
    data = read_data(shared / "cases" / "G03-state-order" / "data.csv", ["z", "A", "m", "B"])
    assert data.names == ("z", "B")
    assert data.values.tolist() == [[1.0, 4000.0], [0.818731, 1797.32]]
