"""The page Secure: one query through one model under secure inference, as each role sees it."""
