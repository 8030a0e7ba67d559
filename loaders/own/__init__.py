"""Own functions of the user: found and read without running them, then called and adapted."""
