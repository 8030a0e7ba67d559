"""A user's tf.data.Dataset: its stages, their times, the usual mistakes, and rewriting them."""
