"""Cooperative games over the parties: values of coalitions, and what follows from them."""
