"""Answers made coarser: only the top classes, or fewer digits. Less to look at, and no guarantee at all.

Both are often offered as defences of prediction interfaces (F. Tramer et al., Stealing machine learning models via
prediction APIs, USENIX Security 2016, arXiv:1609.02943; R. Shokri et al., S&P 2017, arXiv:1610.05820); membership is
still told from labels alone (C. Choquette-Choo et al., Label-only membership inference, ICML 2021, arXiv:2007.14321).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Outputs, to_simplex
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.options import Between
from fi_workbench.privacy.answer_noise import as_answer
from fi_workbench.privacy.mechanism import AnswerNoise, mechanisms


@dataclass(frozen=True)
class TopK(AnswerNoise):
    """The k most likely classes as they are, the rest of the mass spread evenly over the others."""

    name: ClassVar[str] = "top_k"
    explanation: ClassVar[str] = (
        "Each party tells apart its k most likely classes only. Less can be read from an answer, but nothing is "
        "promised: an attacker may still learn all that it is after."
    )
    formula: ClassVar[str] = r"p_k(c) \text{ for the } k \text{ largest}, \text{ else } (1 - \textstyle\sum) / (C - k)"
    source: ClassVar[str] = "Shokri et al. 2017, arXiv:1610.05820, section VIII"

    k: Annotated[int, Between(1, 100), "Classes that keep their own probability."] = 1

    @property
    def assumptions(self) -> tuple[str, ...]:
        """That there is no guarantee."""
        return (f"Of an answer, only the top {self.k} of the classes can be told apart: no guarantee of any kind.",)

    def perturb(self, answer: NDArray[Any], outputs: Outputs, noise: Keystream) -> NDArray[Any]:
        """The coarser answer, of the same kind (query, class); ties go to the lowest class index."""
        rows = to_simplex(answer.astype(np.float64), outputs)
        if self.k >= rows.shape[-1]:
            return answer
        # the others share what is left, so that the sum stays one and no class is ruled out that was not
        others = np.argsort(-rows, axis=-1, kind="stable")[:, self.k :]
        shared = np.take_along_axis(rows, others, axis=-1).mean(axis=-1, keepdims=True)
        np.put_along_axis(rows, others, shared, axis=-1)
        return as_answer(rows, answer, outputs)


@dataclass(frozen=True)
class Rounded(AnswerNoise):
    """Probabilities rounded to a few decimals, then scaled to sum to one."""

    name: ClassVar[str] = "rounded"
    explanation: ClassVar[str] = (
        "Each party rounds its probabilities. Less can be read from an answer, but nothing is promised: an attacker "
        "may still learn all that it is after."
    )
    formula: ClassVar[str] = r"\mathrm{round}(p_k, d) \,/ \textstyle\sum_c \mathrm{round}(p_k(c), d)"
    source: ClassVar[str] = "Tramer et al. 2016, arXiv:1609.02943, section 7"

    digits: Annotated[int, Between(0, 6), "Decimals that are kept."] = 1

    @property
    def assumptions(self) -> tuple[str, ...]:
        """That there is no guarantee."""
        return (f"Probabilities are rounded, decimals kept: {self.digits}; no guarantee of any kind.",)

    def perturb(self, answer: NDArray[Any], outputs: Outputs, noise: Keystream) -> NDArray[Any]:
        """The coarser answer, of the same kind (query, class); a row that rounds to nothing becomes uniform."""
        rows = np.round(to_simplex(answer.astype(np.float64), outputs), self.digits)
        rows = np.where(rows.sum(axis=-1, keepdims=True) > 0.0, rows, 1.0)
        return as_answer(rows / rows.sum(axis=-1, keepdims=True), answer, outputs)


for _kind in (TopK, Rounded):
    mechanisms.add(_kind.name, _kind)
