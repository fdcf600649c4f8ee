"""Files of the checkout that tests use."""

from pathlib import Path

TOP = Path(__file__).parents[1]
WALKING = TOP / "notebooks" / "data" / "walking.mp4"
"""The sample video: 795 frames, 768x576, 10 fps."""
PEOPLE_MODEL = TOP / "models" / "nanodet-g-416.onnx"
