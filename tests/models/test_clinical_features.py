"""Encoding of clinical metadata."""

import pandas as pd
import pytest

from brain_tumor.core.errors import UserError
from brain_tumor.models.clinical_features import encode_columns, fit_columns


def test_encode_columns_numbers_standardized_text_one_hot() -> None:
    table = pd.DataFrame({"age": ["40", "60", ""], "sex": ["F", "", "M"]})
    columns = fit_columns(table, ("age", "sex"))
    assert (columns[0].mean, columns[0].sd, columns[1].values) == (50, 10, ("F", "M"))
    expected = [[-1, 0, 1, 0, 0], [1, 0, 0, 0, 1], [0, 1, 0, 1, 0]]
    assert encode_columns(table, columns).tolist() == expected
    assert encode_columns(table, ()).shape == (3, 0)


def test_encode_columns_unknown_or_absent_is_missing() -> None:
    columns = fit_columns(pd.DataFrame({"age": ["40", "60", ""], "sex": ["F", "", "M"]}), ("age", "sex"))
    unknown = pd.DataFrame({"age": ["x", "inf"], "sex": ["D", "F"]})
    assert encode_columns(unknown, columns).tolist() == [[0, 1, 0, 0, 1], [0, 1, 1, 0, 0]]
    assert encode_columns(pd.DataFrame(index=[0]), columns).tolist() == [[0, 1, 0, 0, 1]]


def test_fit_columns_absent_or_empty_column_is_an_error() -> None:
    table = pd.DataFrame({"age": ["40", "60", ""]})
    with pytest.raises(UserError, match=r"names site, a column that index.csv of the data set does not have"):
        fit_columns(table, ("site",))
    with pytest.raises(UserError, match="empty for all training images"):
        fit_columns(table.assign(site=""), ("site",))
