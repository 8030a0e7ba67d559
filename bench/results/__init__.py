"""Records of every kind, found by their files and read with what is derived from them."""
