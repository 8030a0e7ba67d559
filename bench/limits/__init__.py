"""The machine's own limits, and each loader's share of them."""
