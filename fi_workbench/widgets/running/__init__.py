"""What runs behind the page: the state, the thread that streams, and what changes them; no DOM here."""
