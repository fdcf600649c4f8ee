"""What runs while a gear's code runs: its context, transactions, futures, time limits."""
