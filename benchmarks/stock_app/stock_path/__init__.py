"""The same rounds on Flower's own SuperLink, SuperNodes, executors and grid."""
