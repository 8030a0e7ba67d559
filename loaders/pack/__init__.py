"""Datasets prepared once: resized arrays, or small JPEGs."""
