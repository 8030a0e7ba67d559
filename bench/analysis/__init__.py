"""Figures derived from the raw record: rates, ratios, intervals, the winner."""
