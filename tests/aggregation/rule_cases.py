"""What contract and properties of rules are tested on: which rules there are, batches of answers, parties' facts."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import fi_workbench.aggregation  # noqa: F401  registers the members
from fi_workbench.aggregation.apply import checked_options, enrolment_part, finish, local_part, total
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.aggregation.rule import LocalView, rules
from fi_workbench.core.arrays import stacked_answers

# rules that must be fitted first are held against their own contract
ALL = sorted(name for name in rules if not any(option.name == "combiner" for option in rules[name].options))
SUMS = [name for name in ALL if rules[name].gathers == "sum"]
PARTS = [name for name in ALL if rules[name].gathers == "parts"]
ENROLLING = [name for name in ALL if rules[name].enrolment]
MODES = ["renormalise", "keep"]

shapes = st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(2, 6))
seeds = st.integers(0, 2**32 - 1)
# expectation maximisation magnifies rounding where it starts between two solutions: equal examples in every run
few = settings(max_examples=20, deadline=None, derandomize=True)


def case(shape=(4, 6, 5), seed=0, scale=3.0, dtype=np.float64):
    """Logits (party, query, class) and what the parties hold."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 500, (shape[0], shape[2]))
    return rng.normal(0, scale, shape).astype(dtype), {"class_counts": counts, "data_sizes": counts.sum(1)}


def rows(kind, n_rows, n_classes, rng):
    """Logits of answers that move a sum the most: one-hot, half of the classes, uniform, extreme, ordinary."""
    one_hot = 1e4 * np.eye(n_classes)[rng.integers(0, n_classes, n_rows)]
    half = 1e4 * (rng.permuted(np.tile(np.arange(n_classes), (n_rows, 1)), axis=1) < max(1, n_classes // 2))
    return {
        "one_hot": one_hot,
        "half": half,
        "uniform": np.zeros((n_rows, n_classes)),
        "extreme": rng.choice([-1e4, 1e4], (n_rows, n_classes)),
        "ordinary": rng.normal(0, 3, (n_rows, n_classes)),
    }[kind]


def facts_of(held, k):
    return {"class_counts": held["class_counts"][k], "data_size": held["data_sizes"][k]}


def totals_of(rule, held):
    enrolled = [enrolment_part(rule, facts_of(held, k)) for k in range(len(held["data_sizes"]))]
    return total(enrolled) if rule.enrolment else {}


def parts_of(rule, logits, held, on_absence="renormalise", outputs="logits", **options):
    """Each party's part; a party that is asked again about an image, however turned, answers as before."""
    totals = totals_of(rule, held)
    images = np.zeros((logits.shape[1], 1, 3, 3), dtype=np.float32)
    return [
        local_part(
            rule,
            LocalView(one, outputs, images, lambda _, one=one: one, facts_of(held, k), totals, on_absence),
            options,
        )
        for k, one in enumerate(logits)
    ]


def scored(logits, name, *, outputs="logits", on_absence="renormalise", class_counts, data_sizes, **options):
    """What `aggregate` computes; with models to ask for the rules that ask again."""
    held, rule = {"class_counts": class_counts, "data_sizes": data_sizes}, rules[name]
    if not rule.asks_again:
        return aggregate(logits, name, outputs=outputs, on_absence=on_absence, **held, **options)
    options = checked_options(rule, options)
    held = {fact: np.asarray(array) for fact, array in held.items()}
    logits = stacked_answers(logits, outputs)  # as a party's own side checks what its model returned
    return finish(rule, options, sums=total(parts_of(rule, logits, held, on_absence, outputs, **options)))


def assert_scores(scores, n_queries, n_classes):
    assert scores.shape == (n_queries, n_classes)
    assert scores.dtype.kind == "f"
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)  # the top score is read as confidence
