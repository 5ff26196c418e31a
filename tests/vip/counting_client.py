"""A client that knows one address: counts up there for ever, and prints when each count was acknowledged."""

import sys
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

client = redis.Redis(
    host=sys.argv[1],
    port=6379,
    socket_timeout=0.25,
    socket_connect_timeout=0.1,
    retry=Retry(NoBackoff(), 0),
)
while True:
    try:
        value = client.incr("count")
    except redis.RedisError:
        time.sleep(0.005)  # as a client does that tries again
        continue
    print(f"{time.monotonic():.4f} {value}", flush=True)
    time.sleep(0.005)  # the pace of its counting
