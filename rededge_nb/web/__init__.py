"""The video web server: a page, MJPEG for an `<img>`, snapshots, detections, health and metrics.

GET /                   the page: live video with boxes, number of people, charts; ?camera=0
GET /video              MJPEG video with boxes drawn in the images; ?camera=0
GET /snapshot.jpg       one image with boxes; ?camera=0
GET /api/cameras        all cameras, JSON
GET /api/detections     newest detections, JSON; ?camera=0&count=10
GET /metrics            newest values of the time series, Prometheus text
GET /healthz            200 if Redis answers and a worker serves it, 503 if not; the only one without a token
GET /live               the page's WebSocket

docs/reference/web.md describes each of them.
"""

from __future__ import annotations

from rededge_nb.web.server import Ready, WebServer, run

__all__ = ["Ready", "WebServer", "run"]
