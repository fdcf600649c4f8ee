"""Monitoring: status, doctor and top."""
