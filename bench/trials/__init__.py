"""Trials: one process per trial, whose timed blocks are interleaved with those of the others."""
