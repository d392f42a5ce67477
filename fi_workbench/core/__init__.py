"""Shared words of the house: arrays, records, disclosure, options, identity, errors."""
