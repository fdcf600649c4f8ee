"""Pipelines: notebooks run headless, their report, and schedules."""
