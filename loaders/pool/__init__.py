"""How threads share the images of batches, in C where that could be compiled."""
