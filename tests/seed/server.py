"""A video server as the showcase had it: newest frame, newest boxes, drawn and sent as MJPEG; redis-py 3, RESP2."""

import argparse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

import cv2
import numpy as np
import redis


def last_picture(conn, camera, boxes_key, field):
    pipeline = conn.pipeline()
    pipeline.xrevrange(camera, count=1)
    pipeline.xrevrange(boxes_key, count=1)
    frame, found = pipeline.execute()
    if not frame:
        return None
    label = f"{camera}:{frame[0][0].decode()}"
    image = cv2.imdecode(np.frombuffer(frame[0][1][field.encode("utf-8")], np.uint8), cv2.IMREAD_COLOR)
    if found:
        fields = found[0][1]
        people = int(fields[b"people"])
        boxes = np.fromstring(fields[b"boxes"][1:-1], sep=",")
        label += f" people: {people}"
        for box in range(people):
            x1, y1, x2, y2 = boxes[box * 4 : box * 4 + 4].astype(int)
            cv2.rectangle(image, (x1, y1), (x2, y2), (0, 0, 255), 5)
    cv2.putText(image, label, (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 255), 1, cv2.LINE_AA)
    return cv2.imencode(".jpg", image)[1].tobytes()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            while True:
                picture = last_picture(self.server.conn, args.camera, args.boxes, args.field)
                if picture is not None:
                    self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + picture + b"\r\n\r\n")
        except ConnectionError:
            pass

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("camera", nargs="?", default="camera:0")
    parser.add_argument("boxes", nargs="?", default="camera:0:yolo")
    parser.add_argument("--field", default="image")
    parser.add_argument("-u", "--url", default="redis://127.0.0.1:6379")
    args = parser.parse_args()
    url = urlparse(args.url)
    conn = redis.Redis(host=url.hostname, port=url.port, password=url.password)
    if not conn.ping():
        raise Exception("Redis unavailable")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.conn = conn
        http.daemon_threads = True
        print(http.server_port, flush=True)
        http.serve_forever()
