"""Charts of a report as Vega-Lite specifications: pure functions from figures to dictionaries."""
