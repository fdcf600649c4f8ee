"""The switchboard: the Redis module that passes commands to workers (C), and its protocol (Python)."""
