"""Tensors, models and the AI.* commands, answered as RedisAI 1.2 does."""
