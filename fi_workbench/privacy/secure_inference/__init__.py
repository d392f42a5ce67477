"""Secure inference as a mechanism: the query and the models stay hidden, and only the sum is opened."""

from fi_workbench.privacy.secure_inference.mechanism import SecureInference

__all__ = ["SecureInference"]
