"""Video clips of what a camera saw around an event: made on request, and written automatically for alarms."""
