"""The party's end of a network: one long-lived process that is asked, and runs nothing that is sent to it."""
