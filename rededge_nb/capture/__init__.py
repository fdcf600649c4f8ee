"""Capture: frames from a source into a camera's stream."""
