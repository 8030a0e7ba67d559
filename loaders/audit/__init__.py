"""The audit of image files: what each contains, and which decoders can read it."""
