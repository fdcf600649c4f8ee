"""The steps of an import, in a process of its own (`isolated.py`): from an ONNX file to a model and its card."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, ValueInfoProto

from rededge_nb.analytics.counted import Counted, counted_classes
from rededge_nb.analytics.detecting import MULTIPLE
from rededge_nb.control.model_import import inside
from rededge_nb.control.model_import.building import Plan, finished_model
from rededge_nb.control.model_import.checks import Use, find, sample_images, several_at_once
from rededge_nb.control.model_import.classes import COCO, class_names, counted_places
from rededge_nb.control.model_import.decoding import Recognised
from rededge_nb.control.model_import.facts import Facts, Output, image_input, network_size, other_values
from rededge_nb.control.model_import.layouts import Layout, recognise
from rededge_nb.control.model_import.metadata import read_metadata
from rededge_nb.control.model_import.options import ImportOptions
from rededge_nb.control.model_import.preparation import COLOURS, CORNER, SCALES, Preparation
from rededge_nb.control.model_import.reading import opset_of, read_model
from rededge_nb.control.model_import.running import Runner, network_image
from rededge_nb.errors import ModelImportError
from rededge_nb.images import Image

FEW = 4
"""If fewer people are found in the sample image, which shows seven, other preparations are tried."""
BETTER_BY = 3
"""A preparation that finds as many people more is better."""


@dataclass
class Result:
    """A finished model.

    Attributes:
        blob: The ONNX file.
        changed: Whether nodes were added.
        fields: What was found out for the card.
        recognised: What was recognised and why, one sentence each.
        warnings: What the user should look at.
        sample_objects: How many objects it finds in the sample image.
        tried: Objects in the user's image, float32 (n, 5); None without such an image.
    """

    blob: bytes
    changed: bool
    fields: dict[str, Any]
    recognised: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    sample_objects: int = 0
    tried: NDArray[np.float32] | None = None


def run_import(path: Path, options: ImportOptions, kept: Mapping[str, Any], image: Image | None = None) -> Result:
    """Import a model; nothing is written.

    Args:
        path: The ONNX file.
        options: What the user said.
        kept: The fields of the model's present card; empty if it has none.
        image: An image of the user's to try it on: uint8 of shape (height, width, 3), blue first.

    Raises:
        ModelImportError: The file is damaged, its layout is not known, or what the model finds is not plausible.
    """
    model = read_model(path)
    facts, others, size_source = _facts(model, path.name, options)
    layout, recognised = recognise(facts, options.layout)
    names, names_source = _names(facts, recognised, options, kept)
    changed = layout.name != "rededge"
    counted = _counted(names, options, {} if changed else kept)
    if not changed and len(counted) > 1:
        raise ModelImportError(
            f"{path.name} has boxes and scores as the people counter needs them, so that no node is added, and then "
            "one class can be counted: name one (--class)"
        )
    what = _what([names[place] for place in counted], options, kept)
    preparation = _preparation(layout, facts, options, model)
    plan = Plan(facts, others, recognised, preparation, counted)
    blob = finished_model(model, plan).SerializeToString(deterministic=True) if changed else path.read_bytes()
    runner = Runner(blob, f"the imported {path.name}")
    use = _use(layout, facts, preparation, options, kept, 0 if changed else counted[0])
    size_source = size_source if use.input_wh == facts.size_wh else "its card"
    samples = sample_images()
    found = {name: find(runner, use, sample, f"the sample image ({name})") for name, sample in samples.items()}
    tried = None if image is None else find(runner, use, image, "your image")
    warnings = []
    in_sample = len(found["4:3"])
    poor = what.is_people and changed and in_sample < FEW
    better = _better_preparation(model, plan, use, samples["4:3"], in_sample) if poor else ""
    if not what.is_people and not in_sample and tried is None:
        warnings.append(
            f"the sample image shows people and no {what.plural}, so it cannot tell whether colour, scale and "
            "confidence are right: try the model on an image of your own (--try)"
        )
    if what.is_people and (not in_sample or better):
        problem = f"the model finds {in_sample or 'nobody'} in the sample image, which shows several people{better}"
        chosen = options.colour is not None and options.scale is not None
        accepted = chosen if in_sample else tried is not None and len(tried)
        if not accepted:
            advice = "" if better else _CHECK
            raise ModelImportError(f"{problem}{advice}. {facts.described()}. {_recognised_as(layout, recognised)}")
        warnings.append(problem)
    if changed and facts.image.batch is None and not recognised.fixed_batch:
        several = finished_model(model, replace(plan, open_batch=True)).SerializeToString(deterministic=True)
        if several_at_once(Runner(several, f"the imported {path.name}"), use, list(samples.values())[:2]):
            blob = several
    counted_name = " or ".join(names[place] for place in counted)
    fields = _card_fields(facts, layout, use, [counted_name] if changed else names, what)
    fields["sha256"] = hashlib.sha256(blob).hexdigest()
    recognised_texts = [
        _recognised_as(layout, recognised),
        f"input {use.input_wh[0]}x{use.input_wh[1]} {facts.image.dtype}, from {size_source}; opset {opset_of(model)}",
        f"images: {preparation}" if changed else "images: as the people counter gives them; no node is added",
        f"{len(names)} class{'' if len(names) == 1 else 'es'}, named by {names_source}; counted: {counted_name}",
        f"found {in_sample} in the sample image with a confidence of {use.confidence} or more",
    ]
    return Result(blob, changed, fields, recognised_texts, warnings, in_sample, tried)


def _recognised_as(layout: Layout, recognised: Recognised) -> str:
    return f"layout {layout.name} ({layout.models}), because of {'; '.join(recognised.reasons)}"


def _names(
    facts: Facts, recognised: Recognised, options: ImportOptions, kept: Mapping[str, Any]
) -> tuple[tuple[str, ...], str]:
    """The names of the model's classes, and where they are from."""
    evidence = "the model"
    if recognised.classes is not None:
        evidence = f"its output, as recognised ({recognised.reasons[-1]}),"
    in_card = tuple(str(name) for name in kept.get("classes", ()))
    fits = in_card and not options.classes and not facts.metadata.names and len(in_card) == recognised.classes
    if fits:
        return in_card, "its card"
    return class_names(recognised.classes, options.classes, facts.metadata.names, evidence)


def _counted(names: Sequence[str], options: ImportOptions, kept: Mapping[str, Any]) -> tuple[int, ...]:
    """The places of the counted classes; `kept` is the card of a model to which no node is added."""
    place = kept.get("counting", {}).get("class_id")
    if not options.count and isinstance(place, int) and 0 <= place < len(names):
        return counted_places(names, (names[place],))
    return counted_places(names, options.count)


def _what(names: Sequence[str], options: ImportOptions, kept: Mapping[str, Any]) -> Counted:
    """What is counted; the present card says what several of them are called, if it counts the same."""
    try:
        found = counted_classes(names, options.plural or "")
    except ValueError as error:
        raise ModelImportError(str(error)) from error
    in_card = kept.get("counting", {})
    same = options.plural is None and in_card.get("class") == found.name
    return replace(found, plural=str(in_card.get("plural") or found.plural)) if same else found


def _facts(model: ModelProto, name: str, options: ImportOptions) -> tuple[Facts, dict[str, NDArray[Any]], str]:
    """What is known of a model, the values of its other inputs, and where the size of the image is from."""
    metadata = read_metadata(model)
    form, other_inputs = image_input(model)
    size_wh, source = network_size(form, metadata, options.size_wh)
    others = other_values(other_inputs, size_wh)
    before_nms = inside.scores_before_nms(model)
    scale = 1.0 if inside.divides_by_255(model, form.name) else 255.0
    image = network_image(sample_images()["4:3"], form, size_wh, scale)
    outputs = _run_raw(model, name, {form.name: image, **others}, before_nms)
    classes_inside = inside.classes_after_top(model)
    if before_nms is not None and before_nms not in [each.name for each in model.graph.output]:
        shown = next((each for each in outputs if each.name == before_nms), None)
        outputs = tuple(each for each in outputs if each is not shown)
        if shown is not None and len(shown.shape) == 3 and shown.shape[1] > 1:
            classes_inside = shown.shape[1]
    images = form.batch or 1
    if images > 1:
        outputs = tuple(
            Output(each.name, each.values[:1] if each.shape[:1] == (images,) else each.values) for each in outputs
        )
    names = COCO if options.classes == ("coco",) else options.classes or metadata.names
    facts = Facts(form, tuple(others), size_wh, outputs, metadata, tuple(names), classes_inside)
    return facts, others, source


def _run_raw(model: ModelProto, name: str, inputs: Mapping[str, NDArray[Any]], shown: str | None) -> tuple[Output, ...]:
    """Run the model as it is. `shown` is a value inside the graph that is wanted, too, if it can be had."""
    if shown is not None and shown not in [each.name for each in model.graph.output]:
        copy = ModelProto()
        copy.CopyFrom(model)
        copy.graph.output.append(ValueInfoProto(name=shown))
        try:
            return Runner(copy, name).outputs(inputs)
        except ModelImportError:  # the value is inside of a loop, for example
            pass
    return Runner(model, name).outputs(inputs)


def _preparation(layout: Layout, facts: Facts, options: ImportOptions, model: ModelProto) -> Preparation:
    usual = layout.preparation
    scale = options.scale or usual.scale
    if facts.image.dtype == "uint8" or (options.scale is None and inside.divides_by_255(model, facts.image.name)):
        scale = "0-255"
    return Preparation(options.colour or usual.colour, scale, options.resize or usual.resize, usual.fill)


def _use(
    layout: Layout,
    facts: Facts,
    preparation: Preparation,
    options: ImportOptions,
    kept: Mapping[str, Any],
    class_id: int,
) -> Use:
    """How the model is used: as the user says, else as its present card says, else as is usual for its layout."""
    input_wh, resize, multiple = facts.size_wh, preparation.resize, MULTIPLE
    if layout.name == "rededge":
        described = kept.get("input", {})
        input_wh = (int(described.get("width", input_wh[0])), int(described.get("height", input_wh[1])))
        resize, multiple = str(described.get("resize", resize)), int(described.get("multiple", multiple))
    elif resize == CORNER:
        resize = "letterbox"
    counting = kept.get("counting", {})
    return Use(
        input_wh,
        resize,
        multiple,
        float(counting.get("confidence", layout.confidence) if options.confidence is None else options.confidence),
        float(counting.get("iou", layout.iou) if options.iou is None else options.iou),
        class_id,
    )


_CHECK = ": check layout, colour, scale and confidence; if all are right, try the model on an image of your own (--try)"


def _better_preparation(model: ModelProto, plan: Plan, use: Use, sample: Image, found: int) -> str:
    """What to say if another preparation finds more people; empty if none does."""
    best, most = None, found + BETTER_BY - 1
    present = plan.preparation
    colours = (present.colour,) if found else COLOURS
    for other in (replace(present, colour=colour, scale=scale) for colour in colours for scale in SCALES):
        if other == present:
            continue
        try:
            runner = Runner(finished_model(model, replace(plan, preparation=other)), "the model")
            count = len(find(runner, use, sample, "the sample image"))
        except ModelImportError:  # it is not plausible
            continue
        if count > most:
            best, most = other, count
    if best is None:
        return ""
    return f"; with --colour {best.colour} --scale {best.scale} it finds {most}: give these"


def _card_fields(
    facts: Facts,
    layout: Layout,
    use: Use,
    names: Sequence[str],
    what: Counted,
) -> dict[str, Any]:
    wide, high = use.input_wh
    size = f"{wide}x{high}"
    nms = "no non-maximum suppression inside" if use.iou < 0.7 else "double boxes are removed by the model"
    return {
        "summary": f"{layout.models}; {size}, {', '.join(map(str, names[:3]))}{' …' if len(names) > 3 else ''}",
        "input": {
            "name": "image",
            "dtype": "UINT8",
            "layout": "NHWC",
            "colour": "BGR",
            "width": wide,
            "height": high,
            "resize": use.resize,
            **({"multiple": use.multiple} if use.resize == "aspect" else {}),
        },
        "outputs": {
            "boxes": "float32 [N, n, 4]: x1 y1 x2 y2 in pixels of the input",
            "scores": f"float32 [N, n, {len(names)}]: 0 to 1; {nms}",
        },
        "counting": {
            "class_id": use.class_id,
            **what.fields,
            "confidence": use.confidence,
            "iou": use.iou,
        },
        "licence": facts.metadata.licence,
        "origin": facts.metadata.description,
        "classes": list(names),
        "layout": layout.name,
    }
