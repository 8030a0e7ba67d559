"""Blocks of all trials, interleaved, each trial in a process of its own."""
