"""How messages travel: Flower's messages and grids, and nothing of Flower outside this room."""
