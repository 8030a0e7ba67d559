"""The search over loaders and their settings."""
