"""Reading the arguments of AI.* commands."""
