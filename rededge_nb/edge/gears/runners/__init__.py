"""Runners: what starts a registered gear when an event arrives."""
