"""Channels between parties: in one process, over mutually authenticated TLS, or sealed end to end over a third."""
