"""From a result to code that people put before their own training."""
