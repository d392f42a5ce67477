"""Secure inference: several private models answer a hidden query, and only the sum of their outputs is opened."""
