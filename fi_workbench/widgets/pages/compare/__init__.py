"""Rules side by side on the same answers."""
