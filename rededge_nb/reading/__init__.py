"""Reading: frames, detections, series and summaries from Redis."""
