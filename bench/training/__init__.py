"""The whole training, its folder, and what is made of it."""
