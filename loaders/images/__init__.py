"""Decoding, resizing and augmenting single images."""
