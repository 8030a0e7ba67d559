"""FitMonitor: what share of the time the device waits for data, inside the user's own `fit`."""
