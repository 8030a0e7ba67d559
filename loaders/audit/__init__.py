"""What is in each file, and which decoder can read it."""
