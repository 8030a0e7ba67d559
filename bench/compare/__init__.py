"""Runs compared with each other: what can be paired, what differs, and which rates are slower."""
