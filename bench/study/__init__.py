"""A grid of trainings with seeds."""
