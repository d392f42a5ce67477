"""Parties on a SuperLink that somebody else runs, unmodified: Flower's own deployment."""

from fi_workbench.transport.superlink.link import SuperLinkLink

__all__ = ["SuperLinkLink"]
