"""A producer as the original showcase had it: redis-py 3, RESP2, fields `count` and `image` alone."""

import argparse
import time
from urllib.parse import urlparse

import cv2
import redis


def frames(path):
    video = cv2.VideoCapture(path)
    fps = video.get(cv2.CAP_PROP_FPS)
    began = time.time()
    count = 0
    while True:
        ok, image = video.read()
        if not ok:
            return
        time.sleep(max(0, began + count / fps - time.time()))
        yield count, image
        count += 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("infile")
    parser.add_argument("-o", "--output", default="camera:0")
    parser.add_argument("-u", "--url", default="redis://127.0.0.1:6379")
    parser.add_argument("--count", type=int)
    parser.add_argument("--fmt", default=".jpg")
    parser.add_argument("--maxlen", type=int, default=10000)
    args = parser.parse_args()
    url = urlparse(args.url)
    conn = redis.Redis(host=url.hostname, port=url.port, password=url.password)
    if not conn.ping():
        raise Exception("Redis unavailable")
    for count, image in frames(args.infile):
        data = cv2.imencode(args.fmt, image)[1].tobytes()
        entry_id = conn.xadd(args.output, {"count": count, "image": data}, maxlen=args.maxlen)
        print(entry_id.decode("utf-8"))
        if count + 1 == args.count:
            break
