"""Pixel checks: whether loaders give the same pixels, and why not."""
