"""A study: a grid of trainings with several seeds."""
