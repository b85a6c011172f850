"""Drawing: pictures, plots, curves and the report."""
