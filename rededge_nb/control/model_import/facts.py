"""What can be seen of a model without knowing its layout: its inputs, and its outputs for the sample image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from rededge_nb.control.model_import.metadata import Metadata
from rededge_nb.errors import ModelImportError

DTYPES: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.UINT8: "uint8"}
"""Types of an image input."""
CHANNELS = 3
MAX_SIDE = 8192
DEFAULT_SIDE = 640


@dataclass(frozen=True)
class ImageInput:
    """The input that gets the image. A dimension is None if the file leaves it open."""

    name: str
    dtype: str
    channels_last: bool
    width: int | None
    height: int | None
    batch: int | None


@dataclass(frozen=True)
class Output:
    """An output of the model, with its values for the sample image."""

    name: str
    values: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.values.shape

    @property
    def whole(self) -> bool:
        """Whether all values are whole numbers."""
        return bool(np.all(self.values == np.floor(self.values)))

    def __str__(self) -> str:
        return f"{self.name} {self.values.dtype} {list(self.shape)}"


@dataclass(frozen=True)
class Facts:
    """What layouts are recognised by.

    Attributes:
        image: The input that gets the image.
        others: Names of the other inputs.
        size_wh: Width and height of the image that the model got.
        outputs: The outputs, in the order of the file.
        metadata: What the exporter wrote.
        names: Names of the classes, if the user or the file gave them.
        classes_inside: How many classes the inside of the graph shows, or None.
    """

    image: ImageInput
    others: tuple[str, ...]
    size_wh: tuple[int, int]
    outputs: tuple[Output, ...]
    metadata: Metadata
    names: tuple[str, ...] = ()
    classes_inside: int | None = None

    def output(self, *names: str) -> Output | None:
        """The output with one of these names, whatever follows a colon in it."""
        return next((each for each in self.outputs if each.name.split(":")[0] in names), None)

    def described(self) -> str:
        """Inputs and outputs with their shapes."""
        image = self.image
        dims = (image.height, image.width, CHANNELS) if image.channels_last else (CHANNELS, image.height, image.width)
        shape = [image.batch, *dims]
        shown = ", ".join("?" if each is None else str(each) for each in shape)
        others = "".join(f", {name}" for name in self.others)
        outputs = ", ".join(map(str, self.outputs))
        return f"inputs: {image.name} {image.dtype} [{shown}]{others}; outputs: {outputs}"


def image_input(model: ModelProto) -> tuple[ImageInput, tuple[ValueInfoProto, ...]]:
    """The input that gets the image, and the other inputs.

    Raises:
        ModelImportError: No input, or more than one, can be an image.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    found = [(each, image) for each in inputs if (image := _as_image(each)) is not None]
    if len(found) != 1:
        listed = ", ".join(f"{each.name} {_type_text(each)}" for each in inputs) or "none"
        raise ModelImportError(
            f"{'no' if not found else 'more than one'} input of the model can be an image, which has 4 dimensions, one "
            f"of them {CHANNELS}, and float32, float16 or uint8; inputs: {listed}"
        )
    (chosen, image) = found[0]
    for side in (image.width, image.height):
        if side is not None and not 16 <= side <= MAX_SIDE:
            raise ModelImportError(
                f"the input {image.name} is {image.width}x{image.height}: each side must be 16 to {MAX_SIDE}"
            )
    return image, tuple(each for each in inputs if each is not chosen)


def network_size(image: ImageInput, metadata: Metadata, given: tuple[int, int] | None) -> tuple[tuple[int, int], str]:
    """Width and height of the input, and where they are from.

    Raises:
        ModelImportError: The model has another size than the user says.
    """
    for size_wh, source in ((given, "you"), (metadata.size_wh, "the file's metadata")):
        if size_wh is None or (source != "you" and None not in (image.width, image.height)):
            continue
        if image.width not in (None, size_wh[0]) or image.height not in (None, size_wh[1]):
            if source == "you":
                raise ModelImportError(
                    f"size is {size_wh[0]}x{size_wh[1]}, but the input of the model is {image.width}x{image.height}"
                )
            continue
        if not all(16 <= side <= MAX_SIDE for side in size_wh):
            raise ModelImportError(f"size is {size_wh[0]}x{size_wh[1]}: each side must be 16 to {MAX_SIDE}")
        return size_wh, source
    if image.width is not None and image.height is not None:
        return (image.width, image.height), "the input's shape"
    side = image.width or image.height or DEFAULT_SIDE
    return (side, side), "an assumption, because the file leaves it open; `size` says otherwise"


def other_values(others: Sequence[ValueInfoProto], size_wh: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """What other inputs get, by their names.

    Raises:
        ModelImportError: An input is not known.
    """
    width, height = size_wh
    known = {
        # RT-DETR and D-FINE scale boxes by it: width, height
        "orig_target_sizes": [[width, height]],
        # PaddleDetection: height and width of the image, and how it was scaled
        "im_shape": [[height, width]],
        "scale_factor": [[1, 1]],
    }
    values = {}
    for each in others:
        if each.name not in known:
            raise ModelImportError(
                f"the model has the input {each.name} {_type_text(each)}, which is not known: known are "
                f"{', '.join(known)}, and one image"
            )
        try:
            dtype = helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type)
        except KeyError as error:
            raise ModelImportError(f"the input {each.name} has a type that is not known") from error
        values[each.name] = np.array(known[each.name], dtype)
    return values


def _as_image(value: ValueInfoProto) -> ImageInput | None:
    tensor = value.type.tensor_type
    dtype = DTYPES.get(tensor.elem_type)
    if dtype is None or not tensor.HasField("shape") or len(tensor.shape.dim) != 4:
        return None
    dims = [each.dim_value if each.HasField("dim_value") and each.dim_value > 0 else None for each in tensor.shape.dim]
    batch = dims[0]
    if dims[1] == CHANNELS or (dims[1] is None and dims[3] != CHANNELS):
        return ImageInput(value.name, dtype, False, dims[3], dims[2], batch)
    if dims[3] == CHANNELS:
        return ImageInput(value.name, dtype, True, dims[2], dims[1], batch)
    return None


def _type_text(value: ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    try:
        dtype = TensorProto.DataType.Name(tensor.elem_type).lower()
    except ValueError:
        dtype = f"type {tensor.elem_type}"
    shown = [str(each.dim_value) if each.HasField("dim_value") else "?" for each in tensor.shape.dim[:8]]
    return f"{dtype} [{', '.join(shown)}]"
