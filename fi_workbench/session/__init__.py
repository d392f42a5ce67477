"""The headless federation: settings, asking, streams, history."""
