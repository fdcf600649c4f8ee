"""The layouts of outputs that can be imported: one function and one row of the table for each.

A function gets the facts of a model and returns how it is decoded, or raises `Mismatch` with what does not fit. The
table is in the order in which layouts are tried; the first that fits is used, so no two may fit the same model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rededge_nb.control.model_import import dense_layouts as dense
from rededge_nb.control.model_import import listed_layouts as listed
from rededge_nb.control.model_import import paired_layouts as paired
from rededge_nb.control.model_import.decoding import Mismatch, Recognised
from rededge_nb.control.model_import.facts import Facts
from rededge_nb.control.model_import.preparation import CORNER, STRETCH, Preparation
from rededge_nb.errors import ModelImportError

LETTERBOX_RGB = Preparation()


@dataclass(frozen=True)
class Layout:
    """A layout of outputs.

    Attributes:
        name: For `--layout`.
        models: The models that have it.
        shapes: Its outputs, in words.
        recognise: The function.
        preparation: How these models were trained to get their images.
        confidence: Least confidence of a box that is counted.
        iou: For the non-maximum suppression; where the model has removed double boxes itself, only those are removed
            that are almost the same.
    """

    name: str
    models: str
    shapes: str
    recognise: Callable[[Facts], Recognised]
    preparation: Preparation = LETTERBOX_RGB
    confidence: float = 0.4
    iou: float = 0.5


_IMAGENET = Preparation(scale="imagenet", resize=STRETCH)
_NANODET = Preparation(colour="bgr", scale="imagenet", resize=STRETCH)
_PLAIN = Preparation(resize=STRETCH)
_BYTES = Preparation(scale="0-255", resize=STRETCH)
_YOLOX = Preparation(colour="bgr", scale="0-255", resize=CORNER)
_ALONE = 0.8

LAYOUTS = (
    Layout("rededge", "models for this package", "boxes [N, n, 4], scores [N, n, classes]", paired.rededge,
           Preparation(colour="bgr", scale="0-255", resize=STRETCH)),
    Layout("tensorflow-ssd", "TensorFlow SSD, EfficientDet, Faster R-CNN", "detection_boxes, detection_classes, …",
           listed.tensorflow_ssd, _BYTES, 0.5, _ALONE),
    Layout("yolov5", "YOLOv5, YOLOv7", "[N, 25200, 5 + classes]", dense.yolov5),
    Layout("nanodet-plus", "NanoDet-Plus, NanoDet", "[N, n, classes + 32]", dense.nanodet_plus, _NANODET),
    Layout("yolox", "YOLOX", "[N, 8400, 5 + classes], not decoded", dense.yolox, _YOLOX),
    Layout("yolov6", "YOLOv6", "[N, 8400, 5 + classes]", dense.yolov6),
    Layout("yolov8", "YOLOv8, YOLOv9, YOLO11, YOLO12", "[N, 4 + classes, 8400]", dense.yolov8),
    Layout("yolov10", "YOLOv10, YOLO26, YOLO exports with nms=True", "[N, n, 6]", listed.nms_free, iou=_ALONE),
    Layout("yolov7-nms", "YOLOv7 with NMS inside", "[n, 7]: batch, box, class, score", listed.rows_class_score,
           iou=_ALONE),
    Layout("yolo-nas-nms", "YOLO-NAS with NMS inside (flat)", "[n, 7]: batch, box, score, class",
           listed.rows_score_class, iou=_ALONE),
    Layout("nms-inside", "YOLO-NAS, YOLOv7, YOLOv8 … with NMS inside",
           "num_detections [N, 1], boxes [N, n, 4], scores [N, n], classes [N, n]", listed.nms_inside, iou=_ALONE),
    Layout("rt-detr", "RT-DETR, D-FINE, DEIM", "labels [N, n], boxes [N, n, 4], scores [N, n]",
           listed.transformer_lists, _PLAIN, 0.5, _ALONE),
    Layout("yolo-nas", "YOLO-NAS, PP-YOLOE without NMS", "boxes [N, 8400, 4], scores [N, 8400, classes]",
           paired.boxes_and_scores),
    Layout("rf-detr", "RF-DETR", "dets [N, n, 4], labels [N, n, classes], logits", paired.transformer_logits, _IMAGENET,
           0.5, _ALONE),
    Layout("rt-detr-ultralytics", "RT-DETR of Ultralytics", "[N, 300, 4 + classes]", dense.ultralytics_rtdetr, _PLAIN,
           0.5, _ALONE),
    Layout("picodet", "PicoDet without postprocessing", "for each stride [N, n, classes] and [N, n, 32], stride 64 too",
           paired.picodet, _IMAGENET),
    Layout("nanodet", "NanoDet in several outputs", "for each stride [N, n, classes] and [N, n, 32 or 44]",
           paired.nanodet, _NANODET),
    Layout("paddledetection", "PicoDet, PP-YOLOE with NMS inside", "[n, 6]: class, score, box", listed.paddle_rows,
           _IMAGENET, 0.5, _ALONE),
)  # fmt: skip
"""All layouts, in the order in which they are tried."""


def layout_named(name: str) -> Layout:
    """The layout of a name.

    Raises:
        ModelImportError: There is none.
    """
    found = next((each for each in LAYOUTS if each.name == name), None)
    if found is None:
        raise ModelImportError(f"there is no layout {name!r}: write {', '.join(each.name for each in LAYOUTS)}")
    return found


def recognise(facts: Facts, wanted: str | None = None) -> tuple[Layout, Recognised]:
    """Find the layout of a model.

    Args:
        facts: What is known of the model.
        wanted: The name of the layout, if the user gave it.

    Raises:
        ModelImportError: It has no layout that is known, or not the wanted one. The message lists inputs, outputs and
            the closest layouts.
    """
    candidates = LAYOUTS if wanted is None else (layout_named(wanted),)
    missed: list[tuple[int, Layout, str]] = []
    for layout in candidates:
        try:
            return layout, layout.recognise(facts)
        except Mismatch as mismatch:
            missed.append((mismatch.fits, layout, mismatch.reason))
        except (ValueError, IndexError) as error:  # an output without values, for example
            missed.append((0, layout, str(error)))
    closest = sorted(missed, key=lambda each: -each[0])[:3]
    listed = "; ".join(f"{layout.name} ({layout.models}: {layout.shapes}): {reason}" for _, layout, reason in closest)
    start = (
        "the layout of the outputs is not known" if wanted is None else f"the model does not have the layout {wanted}"
    )
    raise ModelImportError(f"{start}. {facts.described()}. Closest layouts: {listed}")
