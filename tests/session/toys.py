"""Mechanisms for tests of the session: one that shows only sums, and noise on answers."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fi_workbench.core.disclosure import Disclosure
from fi_workbench.core.messages import Release
from fi_workbench.privacy import AnswerNoise
from fi_workbench.privacy.plain import SUM, Plain


@dataclass(frozen=True)
class SumsOnly(Plain):
    """As plain, but nobody keeps more than the sums: what secure sum will show."""

    name: ClassVar[str] = "sums_only"
    offers: ClassVar[str] = "sum"

    @property
    def disclosure(self):
        return Disclosure({"client": frozenset({"query", "sum", "label"}), "coordinator": frozenset({"sum"})})

    def party_step(self, phase, state, message, context):
        state, reply = super().party_step(phase, state, message, context)
        return state, {name: value for name, value in reply.items() if name.startswith(SUM)}

    def coordinator_step(self, phase, state, replies, context):
        parts = {
            party: {name: np.asarray(reply.body[SUM + name], np.float64) for name in context.components}
            for party, reply in replies.items()
        }
        sums = {name: np.sum([part[name] for part in parts.values()], axis=0) for name in context.components}
        return None, Release(tuple(parts), sums=sums)


@dataclass(frozen=True)
class Laplace(AnswerNoise):
    """Laplace noise on logits or, renormalised, on probabilities."""

    name: ClassVar[str] = "toy_laplace"
    explanation: ClassVar[str] = "Noise on each answer."
    assumptions: ClassVar[tuple[str, ...]] = ("each party adds its own noise",)
    scale: float = 0.5

    def perturb(self, answer, outputs, noise):
        uniform = noise.uniform(answer.shape) - 0.5
        noisy = answer - self.scale * np.sign(uniform) * np.log1p(-2 * np.abs(uniform))
        if outputs == "logits":
            return noisy
        noisy = np.clip(noisy, 1e-6, None)
        return noisy / noisy.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Rounded(AnswerNoise):
    """Answers to so many digits: with Laplace, order matters."""

    name: ClassVar[str] = "toy_rounded"
    explanation: ClassVar[str] = "Fewer digits."
    digits: int = 0

    def perturb(self, answer, outputs, noise):
        return np.round(answer, self.digits)


@dataclass(frozen=True)
class Fresh(Laplace):
    """Noise that nobody can take off again, because its seed is nowhere."""

    name: ClassVar[str] = "toy_fresh"
    reproducible: ClassVar[bool] = False
