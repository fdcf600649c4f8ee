"""The embedded RedisEdge: a real Redis, the switchboard in it, and the workers behind it."""
