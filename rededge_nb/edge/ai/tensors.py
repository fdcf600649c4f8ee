"""Tensors: a dtype of RedisAI and an array, from and to the forms in which they travel.

In a blob, numbers are little endian and row-major; each element of a STRING tensor is followed by one NUL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rededge_nb.edge.switchboard.calls import CommandError

Array = npt.NDArray[Any]
Buffer = bytes | bytearray | memoryview

STRING = "STRING"
DTYPES: dict[str, np.dtype[Any]] = {
    "FLOAT": np.dtype("<f4"),
    "DOUBLE": np.dtype("<f8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "BOOL": np.dtype("?"),
    STRING: np.dtype("O"),
}
"""NumPy's dtype of each of RedisAI's; the elements of a STRING array are bytes."""

MAX_BYTES = 512 * 1024**2
"""The longest single value that Redis takes (proto-max-bulk-len)."""
MAX_DIMS = 32
"""The most dimensions that every NumPy can hold."""
MAX_VALUES = 8 * 1024**2
"""The most elements that are spelled out in a reply; beyond it only the blob is given."""

_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_NOT_DECIMAL = re.compile(rb"[\s_]|nan", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Tensor:
    """An array with the name of its dtype, as in DTYPES."""

    dtype: str
    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions; empty for a scalar."""
        return self.array.shape

    @classmethod
    def from_blob(cls, dtype: str, shape: Iterable[int], blob: Buffer) -> Tensor:
        """A view of `blob`, read-only where the blob is; STRING elements are copied.

        Raises:
            CommandError: the dtype is unknown, or the blob does not fit dtype and shape.
        """
        name, dims = dtype_named(dtype), tuple(shape)
        check_blob(name, dims, blob)
        if name != STRING:
            return cls(name, np.frombuffer(blob, DTYPES[name]).reshape(dims))
        elements = np.empty(math.prod(dims), DTYPES[STRING])
        elements[:] = bytes(blob).split(b"\0")[:-1]
        return cls(name, elements.reshape(dims))

    @classmethod
    def from_values(cls, dtype: str, shape: Iterable[int], values: Iterable[Any]) -> Tensor:
        """A tensor of numbers or, for STRING, of bytes or str; without values one of zeros.

        Raises:
            CommandError: the dtype is unknown, or a value does not fit it, or their number does not fit the shape.
        """
        name, dims, elements = dtype_named(dtype), tuple(shape), list(values)
        if not elements:
            return cls.from_blob(name, dims, zeros_blob(name, dims))
        check_shape(dims)
        if len(elements) != math.prod(dims):
            raise CommandError("ERR wrong number of values was given in 'AI.TENSORSET' command")
        array = np.empty(len(elements), DTYPES[name])
        try:
            if name == STRING:
                array[:] = [_c_string(element) for element in elements]
            elif array.dtype.kind == "f":
                with np.errstate(over="ignore"):
                    array[:] = np.array([float(element) for element in elements])
            else:
                array[:] = _integers(name, elements)
        except (TypeError, ValueError, OverflowError) as error:
            raise CommandError("ERR invalid value") from error
        return cls(name, array.reshape(dims))

    @classmethod
    def from_array(cls, array: Array) -> Tensor:
        """A tensor of an array as a model returns it; text becomes UTF-8.

        Raises:
            CommandError: RedisAI has no such dtype (float16, uint32, uint64 …).
        """
        if array.dtype.kind in "OUS":
            elements = np.empty(array.size, DTYPES[STRING])
            elements[:] = [_c_string(element) for element in array.ravel().tolist()]
            return cls(STRING, elements.reshape(array.shape))
        for name, dtype in DTYPES.items():
            if dtype == array.dtype.newbyteorder("<"):
                return cls(name, array.astype(dtype, copy=False))
        raise CommandError(f"ERR the model returned a tensor of {array.dtype}, which RedisAI's tensors cannot hold")

    def to_blob(self) -> bytes:
        """The elements in wire form."""
        if self.dtype == STRING:
            return b"".join(element + b"\0" for element in self.array.ravel().tolist())
        return self.array.tobytes()

    def to_buffer(self) -> bytes | memoryview:
        """As to_blob(), without a copy where that is possible."""
        if self.dtype == STRING or not self.array.flags.c_contiguous or not self.array.size:
            return self.to_blob()
        return self.array.reshape(-1).data.cast("B")

    def to_values(self) -> list[int | bytes]:
        """The elements in row-major order, as AI.TENSORGET's VALUES are: ints, or text with 17 digits.

        Raises:
            CommandError: there are more than MAX_VALUES.
        """
        if self.array.size > MAX_VALUES:
            raise CommandError(f"ERR the tensor has more than {MAX_VALUES} values, ask for its BLOB instead")
        elements: list[Any] = self.array.ravel().tolist()
        if self.array.dtype.kind == "f":
            return [b"%.17g" % element for element in elements]
        if self.dtype == "BOOL":
            return [int(element) for element in elements]
        return elements


def dtype_named(word: str | bytes) -> str:
    """The dtype that a word of any case names.

    Raises:
        CommandError: there is none.
    """
    name = word.decode("latin-1").upper() if isinstance(word, bytes) else word.upper()
    if name not in DTYPES:
        raise CommandError("ERR invalid data type")
    return name


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse negative and too many dimensions; zero is a dimension that a model's output may have.

    Raises:
        CommandError: the shape is refused.
    """
    if any(dim < 0 for dim in shape):
        raise CommandError("ERR invalid or negative value found in tensor shape")
    if len(shape) > MAX_DIMS:
        raise CommandError(f"ERR a tensor has at most {MAX_DIMS} dimensions")


def check_blob(dtype: str, shape: tuple[int, ...], blob: Buffer) -> None:
    """Hold a blob against dtype and shape, without building anything of the size that the shape claims.

    Raises:
        CommandError: they do not fit together.
    """
    check_shape(shape)
    elements = math.prod(shape)
    if dtype == STRING:
        data = bytes(blob)
        if data.count(0) != elements or (data and data[-1] != 0):
            raise CommandError("ERR Number of string elements in data blob does not match tensor length")
        return
    if memoryview(blob).nbytes != elements * DTYPES[dtype].itemsize:
        raise CommandError("ERR data length does not match tensor shape and type")
    if dtype == "BOOL" and elements and np.frombuffer(blob, np.uint8).max() > 1:
        raise CommandError("ERR BOOL tensor elements must be 0 or 1")


def zeros_blob(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The blob of a tensor of zeros, or of empty strings.

    Raises:
        CommandError: it would be longer than Redis can hold.
    """
    check_shape(shape)
    size = math.prod(shape) * (1 if dtype == STRING else DTYPES[dtype].itemsize)
    if size > MAX_BYTES:
        raise CommandError(f"ERR the tensor would take {size} bytes, and one value in Redis holds {MAX_BYTES} at most")
    return bytes(size)


def parse_values(dtype: str, words: Sequence[bytes]) -> list[Any]:
    """Numbers as clients spell them, or the elements of a STRING tensor.

    Raises:
        CommandError: a word is not of the dtype. Negative integers are refused, as RedisAI's range check does.
    """
    if dtype == STRING:
        return list(words)
    if DTYPES[dtype].kind == "f":
        return [_decimal(word) for word in words]
    numbers = [int(word) if _INTEGER.fullmatch(word) else -1 for word in words]
    if min(numbers, default=0) < 0:
        raise CommandError("ERR invalid value")
    return numbers


def _decimal(word: bytes) -> float:
    # Redis takes no white space and no NaN, Python's underscores neither
    if _NOT_DECIMAL.search(word):
        raise CommandError("ERR invalid value")
    try:
        return float(word)
    except ValueError as error:
        raise CommandError("ERR invalid value") from error


def _integers(dtype: str, elements: list[Any]) -> Array:
    numbers = np.array([int(element) for element in elements], dtype=np.int64)
    limits = (
        np.array([0, 1]) if dtype == "BOOL" else np.array([np.iinfo(DTYPES[dtype]).min, np.iinfo(DTYPES[dtype]).max])
    )
    if any(number != element for number, element in zip(numbers.tolist(), elements, strict=True)):
        raise ValueError("not a whole number")
    if numbers.min() < limits[0] or numbers.max() > limits[1]:
        raise OverflowError(f"out of the range of {dtype}")
    return numbers


def _c_string(element: object) -> bytes:
    data = element.encode() if isinstance(element, str) else bytes(memoryview(element))  # type: ignore[arg-type]
    data = data.removesuffix(b"\0")
    if b"\0" in data:
        raise CommandError("ERR C-string value contains null character")
    return data
