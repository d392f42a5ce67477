"""Secure sum: the coordinator learns what the parties' summands add up to, and no single one."""

from fi_workbench.privacy.secure_sum.layout import Entry, Layout
from fi_workbench.privacy.secure_sum.mechanism import SecureSum

__all__ = ["Entry", "Layout", "SecureSum"]
