"""Where the time goes: ceilings, verdict, predictions."""
