"""Generated photographs, and reports on a user's own."""
