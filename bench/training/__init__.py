"""The full training and its results, the choice of a batch size, and prediction."""
