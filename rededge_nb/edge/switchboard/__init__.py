"""The switchboard: the Redis module that passes commands to workers (C), and the workers' side of it (Python)."""
