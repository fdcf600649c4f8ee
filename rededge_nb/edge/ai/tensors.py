"""Tensors: an array with a dtype of RedisAI, and its conversion from and to blobs and lists of values.

In a blob, numbers are little endian and in row-major order. Each element of a STRING tensor is followed by a NUL byte.
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
"""NumPy's dtype for each dtype of RedisAI. The elements of a STRING array are bytes."""

MAX_BYTES = 512 * 1024**2
"""The longest value that Redis accepts by default (proto-max-bulk-len)."""
MAX_DIMS = 32
"""The most dimensions that all versions of NumPy support."""
MAX_VALUES = 8 * 1024**2
"""The most elements that a reply lists as values; of a larger tensor only the blob can be read."""

INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
"""A whole number as Redis spells it."""
_NOT_DECIMAL = re.compile(rb"[\s_]|nan", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Tensor:
    """An array and the name of its dtype, which is one of DTYPES."""

    dtype: str
    array: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions; empty for a scalar."""
        return self.array.shape

    @classmethod
    def from_blob(cls, dtype: str, shape: Iterable[int], blob: Buffer) -> Tensor:
        """A tensor over the memory of `blob`, read-only if the blob is; only STRING elements are copied.

        Raises:
            CommandError: The dtype is unknown, or the blob does not fit dtype and shape.
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
        """A tensor of numbers or, for STRING, of bytes or str; without values, a tensor of zeros.

        Raises:
            CommandError: The dtype is unknown, a value does not fit it, or the number of values does not fit the shape.
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
        """The tensor of an array that a model returned; text is encoded as UTF-8.

        Raises:
            CommandError: RedisAI does not have the array's dtype (float16, uint32, uint64 …).
        """
        if array.dtype.kind in "OUS":
            elements = np.empty(array.size, DTYPES[STRING])
            elements[:] = [_c_string(element) for element in array.ravel().tolist()]
            return cls(STRING, elements.reshape(array.shape))
        for name, dtype in DTYPES.items():
            if dtype == array.dtype.newbyteorder("<"):
                return cls(name, array.astype(dtype, copy=False))
        raise CommandError(f"ERR the model returned a tensor of {array.dtype}, a type that RedisAI does not have")

    def to_blob(self) -> bytes:
        """The blob."""
        if self.dtype == STRING:
            return b"".join(element + b"\0" for element in self.array.ravel().tolist())
        return self.array.tobytes()

    def to_buffer(self) -> bytes | memoryview:
        """The blob, without copying the array if possible."""
        if self.dtype == STRING or not self.array.flags.c_contiguous or not self.array.size:
            return self.to_blob()
        return self.array.reshape(-1).data.cast("B")

    def to_values(self) -> list[int | bytes]:
        """The elements in row-major order as AI.TENSORGET lists them: integers, or decimal text with 17 digits.

        Raises:
            CommandError: The tensor has more than MAX_VALUES elements.
        """
        if self.array.size > MAX_VALUES:
            raise CommandError(f"ERR the tensor has more than {MAX_VALUES} values, read its BLOB instead")
        elements: list[Any] = self.array.ravel().tolist()
        if self.array.dtype.kind == "f":
            return [b"%.17g" % element for element in elements]
        if self.dtype == "BOOL":
            return [int(element) for element in elements]
        return elements


def dtype_named(word: str | bytes) -> str:
    """The dtype with that name, in upper or lower case.

    Raises:
        CommandError: There is none.
    """
    name = word.decode("latin-1").upper() if isinstance(word, bytes) else word.upper()
    if name not in DTYPES:
        raise CommandError("ERR invalid data type")
    return name


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse negative dimensions, and too many. Zero is allowed: the output of a model can have it.

    Raises:
        CommandError: The shape is refused.
    """
    if any(dim < 0 for dim in shape):
        raise CommandError("ERR invalid or negative value found in tensor shape")
    if len(shape) > MAX_DIMS:
        raise CommandError(f"ERR a tensor has at most {MAX_DIMS} dimensions")


def check_blob(dtype: str, shape: tuple[int, ...], blob: Buffer) -> None:
    """Check that a blob fits dtype and shape. No memory is allocated for the shape, which can be any number.

    Raises:
        CommandError: It does not.
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
        CommandError: It would be longer than a value in Redis can be.
    """
    check_shape(shape)
    size = math.prod(shape) * (1 if dtype == STRING else DTYPES[dtype].itemsize)
    if size > MAX_BYTES:
        raise CommandError(f"ERR the tensor would have {size} bytes, but a value in Redis can have {MAX_BYTES} at most")
    return bytes(size)


def parse_values(dtype: str, words: Sequence[bytes]) -> list[Any]:
    """The values of a tensor from the words of a command; for STRING these are the words themselves.

    Raises:
        CommandError: A word is not a number of that dtype. Negative integers are refused, because RedisAI refuses them.
    """
    if dtype == STRING:
        return list(words)
    if DTYPES[dtype].kind == "f":
        return [_decimal(word) for word in words]
    numbers = [int(word) if INTEGER.fullmatch(word) else -1 for word in words]
    if min(numbers, default=0) < 0:
        raise CommandError("ERR invalid value")
    return numbers


def _decimal(word: bytes) -> float:
    # float() accepts white space, NaN and underscores; Redis does not
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
