"""Packs: images prepared once and read again by `packed` and `turbo`."""
