"""Rules that estimate the truth and, with it, what each party knows, from the answers alone.

Sources: A. P. Dawid, A. M. Skene, Maximum likelihood estimation of observer error-rates using the EM algorithm, JRSS C
28(1), 1979; the same alternation with soft labels and one weight per party and class follows V. C. Raykar et al.,
Learning from crowds, JMLR 11, 2010, in spirit.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from fi_workbench.aggregation.normalise import as_distribution
from fi_workbench.aggregation.rule import aggregation_rule
from fi_workbench.core import crowd
from fi_workbench.core.arrays import TINY, Answers, Scores
from fi_workbench.core.options import Between


@aggregation_rule(
    needs="votes",
    formula=r"P(t_n = c \mid v) \propto \hat\pi_c \prod_k \hat\theta_k(c, v_{kn}), \quad "
    r"\hat\pi, \hat\theta \text{ by expectation maximisation}",
    source="Dawid & Skene 1979, doi:10.2307/2346806",
)
def dawid_skene(
    answers: Answers, *, max_iterations: Annotated[int, Between(1, 500), "Most EM steps over the batch."] = 50
) -> Scores:
    """What the truth most likely is, given who votes for what and how each party tends to err, estimated together.

    It starts from the shares of the votes and knows each party by a confusion matrix over the batch, smoothed by
    1 / classes. One query says nothing about anybody's errors: ask many at once.
    """
    n_parties, _, n_classes = answers.shape
    if n_parties == 1:  # nobody to compare it with: it is taken at its word
        return np.asarray(answers[0])
    return crowd.dawid_skene(answers.argmax(axis=-1), n_classes, max_iterations=max_iterations).posterior


@aggregation_rule(
    formula=r"q_n(c) \propto \sum_k w_k(c)\, p_{kn}(c), \quad "
    r"w_k(c) \propto \sum_n q_n(c)\, p_{kn}(c) \,/ \sum_n q_n(c), \; \sum_k w_k(c) = 1",
    source="soft labels as in Raykar et al. 2010 (JMLR 11), with class-conscious weights (Kuncheva 2004)",
)
def self_competence(
    answers: Answers, *, n_iterations: Annotated[int, Between(0, 100), "Rounds of both steps."] = 10
) -> Scores:
    """Class competence without anybody's counts: who gives a class much where the pool finds it, knows that class.

    From the soft vote on, the weights of each class and the pooled answer are computed from one another in turn.
    """
    pooled = answers.mean(axis=0)
    for _ in range(n_iterations):
        hits = np.einsum("nc,knc->kc", pooled, answers, optimize=True)
        weights = hits / np.maximum(hits.sum(axis=0), TINY)  # the division by sum_n q cancels
        pooled = as_distribution(np.einsum("kc,knc->nc", weights, answers, optimize=True))
    return as_distribution(pooled)
