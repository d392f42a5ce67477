"""Comparing a number that two parties know with one that the third knows, so that nobody learns the outcome."""
