"""Jupyter: magics and the launcher of JupyterLab."""
