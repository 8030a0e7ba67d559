"""What a larger target needs, from what was measured on this machine: pure functions."""
