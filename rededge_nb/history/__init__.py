"""Later questions about a camera: counts of a period, the busiest hours, where people were, and exports."""
