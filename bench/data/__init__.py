"""Generated images, and reports on the images of a source."""
