"""Direct channels between parties: in one process, or over mutually authenticated TLS; relayed where neither reaches."""
