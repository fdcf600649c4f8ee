"""Models, scripts, tensors and statistics in Redis."""
