"""Writes small detectors with `torch.onnx` into a folder: python torch_exports.py FOLDER."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

SIDE, CELLS, SCORE = 320, 2100, 0.9
DEFAULT_BOX = (90.0, 90.0, 160.0, 190.0)


class Detector(nn.Module):
    """Finds what is red, with the outputs of one kind of detector."""

    def __init__(self, head: str) -> None:
        super().__init__()
        self.head = head
        self.red = nn.Conv2d(3, 1, 1, bias=False)
        self.red.weight.data = torch.tensor([1.0, 0.0, -1.0]).reshape(1, 3, 1, 1)

    def box(self, images: Tensor) -> list[Tensor]:
        mask = (self.red(images)[:, 0] > 0.6).to(images.dtype)
        places = torch.arange(SIDE, device=images.device).to(images.dtype)
        (x1, x2), (y1, y2) = (
            (SIDE - (lines * (SIDE - places)).amax(1), (lines * (places + 1)).amax(1))
            for lines in (mask.amax(1), mask.amax(2))
        )
        found = x2 > 0
        values = zip((x1, y1, x2, y2), DEFAULT_BOX, strict=True)
        return [torch.where(found, value, torch.full_like(value, default)) for value, default in values]

    def forward(self, images: Tensor) -> Tensor:
        x1, y1, x2, y2 = self.box(images)
        centres = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
        one, none = torch.ones_like(x1), torch.zeros_like(x1)
        if self.head == "nms_free":
            row, rows = [x1, y1, x2, y2, one * SCORE, none], 300
        elif self.head == "v8":
            row, rows = [*centres, one * SCORE, none], CELLS
        else:
            row, rows = [*centres, one, one * SCORE, none], 3 * CELLS
        table = nn.functional.pad(torch.stack(row, 1)[:, None], (0, 0, 7, rows - 8))
        return table.transpose(1, 2) if self.head == "v8" else table


def main(folder: Path) -> None:
    """Export all kinds."""
    warnings.simplefilter("ignore")
    for head in ("v5", "v8", "nms_free"):
        for dtype in ("float32", "float16"):
            kind = getattr(torch, dtype)
            model = Detector(head).eval().to(kind)
            image = torch.zeros(2, 3, SIDE, SIDE, dtype=kind)
            for axes in ("static", "dynamic"):
                path = folder / f"{head}-{axes}-{dtype}.onnx"
                shapes = {"images": {0: torch.export.Dim("batch")}} if axes == "dynamic" else None
                given = image if axes == "dynamic" else image[:1]
                torch.onnx.export(
                    model, (given,), path, input_names=["images"], output_names=["output0"], opset_version=18,
                    dynamo=True, dynamic_shapes=shapes, external_data=False,
                )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
