"""The figures as the showcase printed them: one TS.RANGE a series, redis-py 3, RESP2.

The original asked for seconds where RedisTimeSeries counts milliseconds, and so found nothing.
"""

import argparse
import time
from urllib.parse import urlparse

import redis

STEPS = ("read", "resize", "model", "script", "boxes", "store", "total")
METRICS = ("in_fps", "out_fps", *(f"prf_{step}" for step in STEPS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-u", "--url", default="redis://127.0.0.1:6379")
    parser.add_argument("-v", "--video", default="camera:0")
    parser.add_argument("-s", "--seconds", type=int, default=2)
    args = parser.parse_args()
    url = urlparse(args.url)
    conn = redis.Redis(host=url.hostname, port=url.port, password=url.password)
    if not conn.ping():
        raise Exception("Redis unavailable")
    now = int(time.time() * 1000)
    pipeline = conn.pipeline(transaction=False)
    for metric in METRICS:
        pipeline.execute_command("TS.RANGE", f"{args.video}:{metric}", now - args.seconds * 1000, now)
    for metric, samples in zip(METRICS, pipeline.execute(), strict=True):
        value = round(float(samples[0][1].decode("utf-8")), 1) if samples else "N/A"
        print(f"{metric}: {value}")
