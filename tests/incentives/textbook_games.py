"""Games of the textbooks, with what theory says of them, and a game by any function of a set."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


class TableGame:
    """A game by a function of the set of its members; counts how often it is asked."""

    def __init__(self, n_parties, value):
        self.n_parties, self.value, self.n_evaluations = n_parties, value, 0

    def all_values(self):
        members = ([k for k in range(self.n_parties) if index >> k & 1] for index in range(1 << self.n_parties))
        return np.array([float(self.value(one)) for one in members])

    def prefix_values(self, orders):
        self.n_evaluations += orders.size
        return np.array([[self.value(order[: j + 1].tolist()) for j in range(len(order))] for order in orders], float)

    def values_of(self, members):
        self.n_evaluations += len(members)
        return np.array([self.value(np.flatnonzero(one).tolist()) for one in members], float)


@dataclass
class Textbook:
    """A game and what theory says of it."""

    game: TableGame
    shapley: Any
    banzhaf: Any
    pairs: Any


def airport(costs):
    """Littlechild & Owen 1973: a runway as long as the largest member needs; each section is split by who uses it."""
    costs = np.array(costs)
    n, levels = len(costs), np.unique(costs)
    shares, swings, pairs = np.zeros(n), np.zeros(n), np.zeros((n, n))
    for level, section in zip(levels, np.diff(levels, prepend=0.0), strict=True):
        users = costs >= level
        shares[users] += section / users.sum()
        swings[users] += section / 2 ** (users.sum() - 1)  # no other user is there
        if users.sum() > 1:
            pairs[np.ix_(users, users)] -= section / (users.sum() - 1)
    np.fill_diagonal(pairs, 0)
    return Textbook(TableGame(n, lambda members: max((costs[k] for k in members), default=0)), shares, swings, pairs)


def weighted_sum(weights):
    game = TableGame(len(weights), lambda members: sum(weights[k] for k in members))
    return Textbook(game, np.array(weights), np.array(weights), np.zeros((len(weights), len(weights))))


def majority(n):
    swings = math.comb(n - 1, n // 2) / 2 ** (n - 1)
    game = TableGame(n, lambda members: 2 * len(members) > n)
    return Textbook(game, np.full(n, 1 / n), np.full(n, swings), np.zeros((n, n)))


def unanimity(n, needed):
    there = np.isin(np.arange(n), needed)
    pairs = np.outer(there, there) / max(1, len(needed) - 1)
    np.fill_diagonal(pairs, 0)
    game = TableGame(n, lambda members: set(needed) <= set(members))
    return Textbook(game, there / len(needed), there / 2 ** (len(needed) - 1), pairs)


def gloves(n):
    """One right glove, n left ones; a pair is worth 1: the right one gets n / (n + 1)."""
    pairs = np.full((n + 1, n + 1), -1 / (n * (n - 1)))
    pairs[0] = pairs[:, 0] = 1 / n
    np.fill_diagonal(pairs, 0)
    game = TableGame(n + 1, lambda members: 0 in members and len(members) > 1)
    return Textbook(game, [n / (n + 1), *[1 / (n * (n + 1))] * n], [1 - 0.5**n, *[0.5**n] * n], pairs)


GAMES = [
    airport([1.0, 3.0, 2.0, 3.0]), airport([5.0]), weighted_sum([0.5, -1.0, 2.0, 0.0]), majority(5), majority(4),
    unanimity(5, [1, 3]), unanimity(5, [0, 2, 3]), unanimity(3, [0]), gloves(3),
]  # fmt: skip
