"""What the code of a gear needs while it runs: its context, transactions, futures, and how it is interrupted."""
