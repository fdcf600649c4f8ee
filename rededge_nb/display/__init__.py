"""Display: frames with boxes, plots and tables."""
