"""Tables, timelines, traces and progress bars."""
