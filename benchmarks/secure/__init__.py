"""Secure inference beside its references: the same models, batches and inputs, in one interleaved run."""
