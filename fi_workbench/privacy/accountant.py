"""What releases cost in privacy, all together: epsilon at a delta, from events and how often each was booked.

The worlds that are told apart are those of each event (:class:`~fi_workbench.privacy.event.Event`): in one the party
answered as it did; in the other each of its answers is any other (``replace``), or it took no part (``participate``).
Releases compose adaptively over both kinds, for they speak of one pair of worlds, query by query.

Multipliers are in units of the sensitivity under the event's own relation, so that dp-accounting's relations, which
double some sensitivities, are not used: a release of additive noise is its standard pair, one unit apart. dp-accounting
takes a second to import; here is the only place that does, and only when something is reckoned.

Sources: I. Mironov, Rényi differential privacy, CSF 2017; C. Canonne, G. Kamath, T. Steinke, NeurIPS 2020, Proposition
12 (RDP to epsilon); B. Balle, Y.-X. Wang, Improving the Gaussian mechanism, ICML 2018, Theorem 8; M. Bun, T. Steinke,
TCC 2016, Proposition 3.3; A. Koskela, J. Jälkö, A. Honkela, AISTATS 2020 (privacy loss distributions).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp

from fi_workbench.core.errors import InvalidOption
from fi_workbench.privacy.event import Event

Accounting = Literal["rdp", "pld"]
"""``rdp``: Rényi divergences, an upper bound in microseconds; ``pld``: privacy loss distributions, tight, slower."""

BEYOND = 50.0
"""From here on ``pld`` says what ``rdp`` says: such an epsilon protects nobody, and its distribution fills memory."""

_KEPT = 4096


def epsilon_of(events: Mapping[Event, int], delta: float, method: Accounting = "rdp") -> float:
    """The epsilon of all these releases together; infinite as soon as one has no guarantee.

    Parameters
    ----------
    events : mapping of Event to int
        How often each was released.
    delta : float
        Between 0 and 1, both excluded.
    method : {"rdp", "pld"}

    Returns
    -------
    float
        An upper bound under either method: under ``rdp`` the better of Rényi composition of all, and of Rényi
        composition where it must be with the plain sum of pure epsilons for the rest.

    Raises
    ------
    InvalidOption
        A delta out of its range, an unknown method.

    >>> round(epsilon_of({Event("laplace", 10.0): 5}, delta=1e-5), 3)
    0.5
    """
    _check(delta, method)
    held = {event: count for event, count in events.items() if count > 0 and _pure(event) > 0}
    if not held:
        return 0.0
    if not protected(held):
        return math.inf
    together = frozenset(held.items())
    bound = _by_rdp(together, delta)
    if method == "rdp" or bound >= BEYOND:
        return bound
    return min(bound, _by_pld(together, delta))


def fits(events: Mapping[Event, int], epsilon: float, delta: float, method: Accounting = "rdp") -> bool:
    """Whether these releases stay within ``epsilon``; the slow way is taken only where the fast one does not tell."""
    return epsilon_of(events, delta) <= epsilon or (method == "pld" and epsilon_of(events, delta, method) <= epsilon)


def protected(events: Iterable[Event]) -> bool:
    """Whether each of these events has a guarantee, however weak."""
    return all(event.noise != "none" and event.multiplier > 0 for event in events)


def n_affordable(
    events: Mapping[Event, int], epsilon: float, delta: float, method: Accounting = "rdp", *, at_most: int = 10**9
) -> int:
    """How often all of ``events`` may be released within ``epsilon``, counted up to ``at_most``."""

    def affords(times: int) -> bool:
        return fits({event: count * times for event, count in events.items()}, epsilon, delta, method)

    if affords(at_most):
        return at_most
    low, high = 0, 1
    while high < at_most and affords(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if affords(middle) else (low, middle)
    return low


def sigma_for(epsilon: float, delta: float, sensitivity: float = 1.0) -> float:
    """The least standard deviation of Gaussian noise for (epsilon, delta), at this L2 sensitivity; exact.

    Raises
    ------
    InvalidOption
        An epsilon or sensitivity that is not positive and finite, a delta out of its range.

    >>> round(sigma_for(1.0, 1e-5), 4)
    3.7306
    """
    _check(delta)
    if not (0 < epsilon < math.inf and 0 < sensitivity < math.inf):
        raise InvalidOption(f"epsilon {epsilon!r} and sensitivity {sensitivity!r} must be positive numbers.")

    def excess(log_multiplier: float) -> float:
        return _log_gaussian_delta(epsilon, math.exp(log_multiplier)) - math.log(delta)

    low = high = 0.0
    while excess(low) <= 0:
        low -= 1.0
    while excess(high) > 0:
        high += 1.0
    return math.exp(_least(excess, low, high)) * sensitivity


def gaussian_epsilon(multiplier: float, delta: float) -> float:
    """The epsilon at ``delta`` of one release of Gaussian noise, at standard deviation over L2 sensitivity; exact."""
    _check(delta)
    log_delta = math.log(delta)
    if _log_gaussian_delta(0.0, multiplier) <= log_delta:
        return 0.0
    high = 1.0
    while _log_gaussian_delta(high, multiplier) > log_delta:
        high *= 2
    return _least(lambda epsilon: _log_gaussian_delta(epsilon, multiplier) - log_delta, 0.0, high)


def _check(delta: float, method: str = "rdp") -> None:
    if not 0 < delta < 1:
        raise InvalidOption(f"delta lies between 0 and 1, both excluded, not at {delta!r}.")
    if method not in get_args(Accounting):
        known = ", ".join(get_args(Accounting))
        raise InvalidOption(f"{method!r:.60} is no way to account for privacy; there are {known}.")


def _least(excess: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling ``excess`` comes to 0, from above: never less noise, nor a smaller epsilon, than is true."""
    while high - low > 1e-12 * max(1.0, abs(high)):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return high


def _log_gaussian_delta(epsilon: float, multiplier: float) -> float:
    # Balle & Wang 2018, Theorem 8, at sensitivity 1
    first = float(log_ndtr(0.5 / multiplier - epsilon * multiplier))
    second = epsilon + float(log_ndtr(-0.5 / multiplier - epsilon * multiplier))
    return first + math.log(-math.expm1(second - first)) if second < first else -math.inf


def _pure(event: Event) -> float:
    """The event's epsilon at delta 0; infinite for Gaussian noise, 0 where nothing is told at all."""
    if event.noise in ("none", "gaussian"):
        return math.inf
    if event.noise == "laplace":
        whole = 1 / event.multiplier if event.multiplier > 0 else math.inf
    else:
        if event.n_classes < 1 or event.multiplier > 1:
            raise ValueError(f"{event} is no randomised response: its multiplier is a probability, of some classes.")
        odds = (1 - event.multiplier) * event.n_classes
        whole = 0.0 if event.n_classes == 1 else math.log1p(odds / event.multiplier) if event.multiplier else math.inf
    return _amplified(whole, event.sampling)


def _amplified(epsilon: float, sampling: float) -> float:
    """log(1 + q (e^epsilon - 1)): amplification of pure epsilon by Poisson sampling."""
    if sampling == 1 or math.isinf(epsilon):
        return epsilon
    return float(np.logaddexp(math.log1p(-sampling), math.log(sampling) + epsilon))


def _place(counted: tuple[Event, int]) -> tuple[Any, ...]:
    event, _ = counted
    return event.noise, event.multiplier, event.n_classes, event.sampling, event.relation


@lru_cache(maxsize=512)
def _by_rdp(held: frozenset[tuple[Event, int]], delta: float) -> float:
    """By Rényi divergences; where that is better, those of Gaussian releases with the pure epsilons of the others."""
    from dp_accounting.rdp import compute_epsilon  # noqa: PLC0415 (takes a second)

    in_order = sorted(held, key=_place)  # sums of floats hang on it
    everything = sum(count * _curve(event) for event, count in in_order)
    mixed = [(event, count) for event, count in in_order if math.isinf(_pure(event))]
    pure = math.fsum(count * _pure(event) for event, count in held if not math.isinf(_pure(event)))
    bounds = [float(compute_epsilon(_orders(), everything, delta)[0])]
    if mixed:
        partly = sum(count * _curve(event) for event, count in mixed)
        bounds.append(pure + float(compute_epsilon(_orders(), partly, delta)[0]))
    else:
        bounds.append(pure)
    return min(bounds)


@lru_cache(maxsize=1)
def _orders() -> NDArray[np.float64]:
    from dp_accounting.rdp.rdp_privacy_accountant import DEFAULT_RDP_ORDERS  # noqa: PLC0415 (takes a second)

    return np.array(DEFAULT_RDP_ORDERS, dtype=np.float64)


@lru_cache(maxsize=_KEPT)
def _curve(event: Event) -> NDArray[np.float64]:
    """Rényi divergence at each order, (order,), of one release; infinite where numbers end."""
    import dp_accounting  # noqa: PLC0415 (takes a second)
    from dp_accounting.rdp import RdpAccountant  # noqa: PLC0415 (takes a second)

    relations = dp_accounting.NeighboringRelation
    if event.sampling < 1 and event.noise != "gaussian":
        curve = _pure_curve(_pure(event))  # dp-accounting samples Gaussian releases only
    elif event.noise == "randomised_response":
        # any two answers: an answer that was never given is nearer to each than they are to one another
        accountant = RdpAccountant(_orders(), relations.REPLACE_ONE)
        accountant.compose(dp_accounting.RandomizedResponseDpEvent(event.multiplier, event.n_classes))
        curve = accountant.rdp
    else:
        accountant = RdpAccountant(_orders(), relations.ADD_OR_REMOVE_ONE)
        with np.errstate(all="ignore"):
            accountant.compose(_additive(event))
        curve = accountant.rdp
    curve = np.where(np.isnan(curve), np.inf, np.maximum(curve, 0.0))
    curve.setflags(write=False)
    return curve


def _pure_curve(epsilon: float) -> NDArray[np.float64]:
    """Rényi divergences of the worst release of pure ``epsilon``: binary randomised response (Bun & Steinke 2016)."""
    order = _orders()
    kept, flipped = -math.log1p(math.exp(-epsilon)), -float(np.logaddexp(0.0, epsilon))
    return np.asarray(
        logsumexp([order * kept + (1 - order) * flipped, order * flipped + (1 - order) * kept], axis=0) / (order - 1)
    )


def _additive(event: Event) -> Any:
    """Gaussian or Laplace noise as dp-accounting names it."""
    import dp_accounting  # noqa: PLC0415 (takes a second)

    kinds = {"gaussian": dp_accounting.GaussianDpEvent, "laplace": dp_accounting.LaplaceDpEvent}
    one = kinds[event.noise](event.multiplier)
    return one if event.sampling == 1 else dp_accounting.PoissonSampledDpEvent(event.sampling, one)


@lru_cache(maxsize=512)
def _by_pld(held: frozenset[tuple[Event, int]], delta: float) -> float:
    """By the distribution of the privacy loss; Gaussian releases are one, of their noise put together."""
    whole = [(event, count) for event, count in held if event.noise == "gaussian" and event.sampling == 1]
    rest = sorted((pair for pair in held if pair not in whole), key=_place)
    precision = math.fsum(count / event.multiplier**2 for event, count in whole)
    if not rest:
        return gaussian_epsilon(1 / math.sqrt(precision), delta)
    from dp_accounting.pld import privacy_loss_distribution as pld  # noqa: PLC0415 (takes a second)

    loss = pld.identity()
    if whole:
        loss = loss.compose(pld.from_gaussian_mechanism(1 / math.sqrt(precision)))
    for event, count in rest:
        # not by PLDAccountant, which counts a randomised response once, however often it was composed
        loss = loss.compose(_loss_of(event, pld).self_compose(count))
    return float(loss.get_epsilon_for_delta(delta))


def _loss_of(event: Event, pld: Any) -> Any:
    from dp_accounting import NeighboringRelation  # noqa: PLC0415 (takes a second)

    if event.noise == "gaussian":
        return pld.from_gaussian_mechanism(event.multiplier, sampling_prob=event.sampling)
    if event.noise == "laplace":
        return pld.from_laplace_mechanism(event.multiplier, sampling_prob=event.sampling)
    if event.sampling < 1:
        return pld.from_privacy_parameters(_parameters(_pure(event)))
    return pld.from_randomized_response(
        event.multiplier, event.n_classes, neighboring_relation=NeighboringRelation.REPLACE_ONE
    )


def _parameters(epsilon: float) -> Any:
    from dp_accounting.pld.common import DifferentialPrivacyParameters  # noqa: PLC0415 (takes a second)

    return DifferentialPrivacyParameters(epsilon)
