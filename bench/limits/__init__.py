"""Limits of the machine, and the share of them that each loader reaches."""
