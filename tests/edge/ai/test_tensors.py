from __future__ import annotations

import numpy as np
import pytest

from rededge_nb.edge.ai.tensors import DTYPES, MAX_VALUES, Tensor, parse_values
from rededge_nb.edge.switchboard.calls import CommandError


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name not in ("STRING", "BOOL")])
def test_a_blob_of_numbers_becomes_a_tensor_and_a_blob_again(dtype: str) -> None:
    blob = np.array([1, 2, 3, 4, 5, 6], DTYPES[dtype]).tobytes()
    tensor = Tensor.from_blob(dtype, (2, 3), blob)
    assert tensor.shape == (2, 3)
    assert tensor.array.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert tensor.to_blob() == blob


def test_a_blob_is_not_copied() -> None:
    buffer = bytearray(4)
    tensor = Tensor.from_blob("UINT8", (4,), buffer)
    buffer[2] = 9
    assert tensor.array.tolist() == [0, 0, 9, 0]


def test_each_string_ends_with_one_nul() -> None:
    tensor = Tensor.from_values("string", (3,), ["ä", b"", "c\0"])
    assert tensor.to_blob() == "ä\0\0c\0".encode()
    assert Tensor.from_blob("STRING", (3,), tensor.to_blob()).to_values() == ["ä".encode(), b"", b"c"]


def test_values_of_gears_are_python_numbers() -> None:
    assert Tensor.from_values("FLOAT", [2], [0.5, -1.5]).array.dtype == np.float32
    assert Tensor.from_values("INT8", [2], [-128.0, 127]).to_values() == [-128, 127]
    assert Tensor.from_values("BOOL", (2,), [True, 0]).to_values() == [1, 0]
    assert Tensor.from_values("INT64", (1,), [2**62 + 1]).to_values() == [2**62 + 1]
    assert Tensor.from_values("DOUBLE", (2, 2), []).array.tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("INT8", 128),
        ("UINT8", -1),
        ("INT32", 1.5),
        ("INT64", 2**63),
        ("INT16", float("nan")),
        ("BOOL", 2),
        ("FLOAT", "x"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(dtype: str, value: object) -> None:
    with pytest.raises(CommandError, match=r"^ERR invalid value$"):
        Tensor.from_values(dtype, (1,), [value])


def test_floats_have_17_digits() -> None:
    assert Tensor.from_values("FLOAT", (3,), [1, 0.5, 0.1]).to_values() == [b"1", b"0.5", b"0.10000000149011612"]


def test_negative_dimensions_are_refused_even_if_their_product_fits() -> None:
    with pytest.raises(CommandError, match="negative value found in tensor shape"):
        Tensor.from_blob("INT8", (-2, -2), b"1234")


def test_a_large_tensor_is_not_listed_as_values() -> None:
    with pytest.raises(CommandError, match="read its BLOB"):
        Tensor("INT8", np.zeros(MAX_VALUES + 1, np.int8)).to_values()


def test_an_array_of_an_unknown_dtype_is_refused() -> None:
    assert Tensor.from_array(np.array(["a", "ü"], dtype=object)).to_values() == [b"a", "ü".encode()]
    with pytest.raises(CommandError, match="uint32"):
        Tensor.from_array(np.zeros(1, np.uint32))


@pytest.mark.parametrize("word", [b"1_0", b" 1", b"nan", b"", b"1.0x"])
def test_numbers_are_parsed_as_strictly_as_in_redis(word: bytes) -> None:
    with pytest.raises(CommandError, match=r"^ERR invalid value$"):
        parse_values("DOUBLE", [word])
    assert parse_values("DOUBLE", [b"1e3", b"-inf"]) == [1000, float("-inf")]
