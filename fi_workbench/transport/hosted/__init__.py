"""The hosted link: a process of the coordinator's own that parties elsewhere connect to, and its owner's desk.

Nothing is imported here: a party that enrols needs no web server.
"""
