"""The steps of a gear, and running records through them."""
