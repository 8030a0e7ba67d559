"""The self-test in full: real bottlenecks are injected, named, predicted without, and undone."""
