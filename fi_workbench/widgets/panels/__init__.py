"""The settings on the left and the head above, one panel per file."""
