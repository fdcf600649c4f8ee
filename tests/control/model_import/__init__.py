"""Tests of importing models."""
