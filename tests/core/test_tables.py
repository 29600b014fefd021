"""The project's own tables."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.core.outputs import write_csv
from brain_tumor.core.tables import class_indices, is_clean, probability_columns, read_table

TABLE = "label,n,value\nno,1,0.5\nNA,2,\n,3,1e-3\n"
# Control characters and unpaired surrogates are rejected when a raw archive is written.
CELLS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=6) | st.sampled_from(["", "NA", "nan", "no"])


def test_read_table_without_types_all_cells_are_text() -> None:
    table = read_table(io.BytesIO(TABLE.encode()))
    assert table.to_numpy().tolist() == [["no", "1", "0.5"], ["NA", "2", ""], ["", "3", "1e-3"]]


def test_read_table_numbers_are_converted_and_empty_cells_are_nan() -> None:
    table = read_table(io.BytesIO(TABLE.encode()), numbers=["n", "value"])
    assert table["label"].tolist() == ["no", "NA", ""]
    assert table["n"].dtype == np.int64
    np.testing.assert_array_equal(table["value"], [0.5, np.nan, 0.001])


def test_read_table_text_other_columns_have_inferred_types() -> None:
    table = read_table(io.BytesIO(b"label,fold,value\n1,2,0.5\n2,3,1\n"), text=["label"])
    assert table["label"].tolist() == ["1", "2"]
    assert [str(table[column].dtype) for column in ("fold", "value")] == ["int64", "float64"]


def test_read_table_number_column_with_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="no"):
        read_table(io.BytesIO(TABLE.encode()), numbers=["label"])


@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=4))
def test_read_table_written_text_comes_back_unchanged(
    rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / "table.csv"
    table = pd.DataFrame(rows, columns=["a", "b"], dtype=str)
    write_csv(path, table)
    assert read_table(path).to_numpy().tolist() == table.to_numpy().tolist()


def test_is_clean_rows_without_a_leak_type_are_clean() -> None:
    rows = pd.DataFrame({"leak": ["", "duplicate", "same_group", ""]}, index=[5, 3, 2, 0])
    clean = is_clean(rows)
    assert clean.dtype == bool
    assert clean.tolist() == [True, False, False, True]
    assert is_clean(rows.iloc[:0]).dtype == bool


def test_class_indices_follow_the_order_of_the_classes() -> None:
    indices = class_indices(pd.Series(["b", "a", "b"]), ("b", "a"))
    assert indices.dtype == np.int64
    assert indices.tolist() == [0, 1, 0]
    assert class_indices([], ("a",)).shape == (0,)
    with pytest.raises(ValueError, match="not in tuple"):
        class_indices(["c"], ("a", "b"))


def test_probability_columns_follow_the_order_of_the_classes() -> None:
    assert probability_columns(("no", "a b")) == ["p_no", "p_a b"]
