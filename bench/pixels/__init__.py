"""Comparing the pixels of two loaders."""
