"""Display: frames with boxes, plots, tables, and replies of Redis as text."""
