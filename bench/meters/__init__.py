"""Meters: what a trial uses of the machine while it is timed."""
