"""Feeds a trainer from each loader, measures, and chooses."""
