import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fi_workbench.core.errors import FederationError, InvalidData, InvalidOption, UnknownName
from fi_workbench.core.options import options_of
from fi_workbench.parties import Partition, make_partition, partitions
from fi_workbench.parties.partition import largest_remainder

LABELS = np.repeat(np.arange(10), 60)

KINDS = tuple(partitions)


@st.composite
def cases(draw):
    kind = draw(st.sampled_from(KINDS))
    labels = draw(st.lists(st.integers(0, 6), min_size=1, max_size=200))
    options = {}
    if kind in {"dirichlet", "by_quantity"}:
        options = {"alpha": draw(st.sampled_from([0.01, 0.1, 1.0, 1000.0])), "min_size": draw(st.integers(2, 12))}
    if kind == "dirichlet":
        options["reference_rounding"] = draw(st.booleans())
    if kind == "by_class":
        options = {"classes_per_party": draw(st.integers(1, 7))}
    return kind, np.array(labels), draw(st.integers(1, 12)), draw(st.integers(0, 2**40)), options


@settings(max_examples=150, deadline=None)
@given(cases())
def test_every_sample_goes_to_exactly_one_party_or_the_error_says_why(case):
    kind, labels, n_parties, seed, options = case
    try:
        partition = make_partition(kind, labels, n_parties, seed, **options)
    except FederationError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert "use " in refusal or "only" in refusal  # a way out
        return
    assert len(partition) == n_parties
    assert np.array_equal(np.sort(np.concatenate(partition.indices)), np.arange(len(labels)))
    assert partition.sizes.min() >= options.get("min_size", 1)
    counts = partition.class_counts(labels, 7)
    assert counts.shape == (n_parties, 7)
    assert counts.sum(0).tolist() == np.bincount(labels, minlength=7).tolist()
    assert counts.sum(1).tolist() == partition.sizes.tolist()
    again = make_partition(kind, labels, n_parties, seed, **options)
    assert all(np.array_equal(a, b) for a, b in zip(partition.indices, again.indices, strict=True))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9).filter(lambda s: sum(s) > 0.01), st.integers(0, 10_000))
def test_largest_remainder(shares, total):
    exact = np.array(shares) / np.sum(shares) * total
    counts = largest_remainder(np.array(shares), total)
    assert counts.sum() == total
    assert (np.abs(counts - exact) < 1 + 1e-6).all()
    assert (counts[exact == 0] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_contract_of_every_kind(kind):
    first, second = make_partition(kind, LABELS, 5, seed=0), make_partition(kind, LABELS, 5, seed=1)
    assert any(not np.array_equal(a, b) for a, b in zip(first.indices, second.indices, strict=True))
    assert all(len(part) > 1 and not part.flags.writeable for part in first.indices)
    for option in options_of(partitions[kind]):
        assert option.limits is not None or option.kind is bool
        assert option.help


def test_alpha_is_skew():
    def skew(alpha):
        counts = make_partition("dirichlet", LABELS, 5, 3, alpha=alpha).class_counts(LABELS, 10)
        return (counts.max(0) / counts.sum(0)).mean()

    assert skew(1000) < 0.25 < skew(0.5) < skew(0.05)


def test_reference_rounding_leaves_stray_samples_that_correct_rounding_does_not():
    counts = {
        how: make_partition("dirichlet", LABELS, 5, 1, alpha=0.05, min_size=2, reference_rounding=how).class_counts(
            LABELS, 10
        )
        for how in (False, True)
    }
    assert (counts[True] == 1).sum() > (counts[False] == 1).sum()
    assert np.abs(counts[True] - counts[False]).max() <= 4  # the same shares, rounded differently


def test_by_class_holds_so_many_classes():
    for n_parties, classes_per_party in ((5, 2), (7, 3), (10, 1), (3, 10)):
        partition = make_partition("by_class", LABELS, n_parties, classes_per_party=classes_per_party)
        counts = partition.class_counts(LABELS, 10)
        assert ((counts > 0).sum(1) == classes_per_party).all()
        for label in range(10):
            held = counts[counts[:, label] > 0, label]
            assert held.max() - held.min() <= 1


def test_by_quantity_keeps_the_mix_and_changes_the_sizes():
    partition = make_partition("by_quantity", LABELS, 4, 0, alpha=0.2)
    assert partition.sizes.max() > 3 * partition.sizes.min()
    assert partition.sizes.min() >= 10


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("circle", LABELS, 5), {}, UnknownName, "dirichlet"),
        (("dirichlet", LABELS, 5), {"alfa": 1}, InvalidOption, "no option 'alfa'"),
        (("dirichlet", LABELS, 5), {"alpha": 0}, InvalidOption, "0.01 to 1000"),
        (("dirichlet", LABELS, 61), {}, InvalidData, "fewer parties"),
        (("iid", LABELS[:3], 4), {}, InvalidData, "fewer parties"),
        (("by_class", LABELS, 4), {}, InvalidData, "at least 3 classes_per_party or 5 parties"),
        (("by_class", LABELS, 4), {"classes_per_party": 11}, InvalidData, "only 10 classes"),
        (("by_class", np.array([0, 1]), 4), {"classes_per_party": 1}, InvalidData, "fewer parties"),
        (("iid", LABELS, 0), {}, InvalidData, "n_parties"),
        (("iid", LABELS, 2.5), {}, InvalidData, "n_parties"),
        (("iid", LABELS - 1, 2), {}, InvalidData, "from 0"),
        (("iid", LABELS.astype(float), 2), {}, InvalidData, "class indices"),
        (("iid", np.zeros(0, int), 2), {}, InvalidData, "non-empty"),
    ],
)
def test_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        make_partition(*arguments, **options)


@pytest.mark.parametrize("parts", [(), ([0, 1], [1, 2]), ([0, 1], [3]), ([0, 1], []), ([[0, 1]],)])
def test_not_a_partition(parts):
    with pytest.raises(InvalidData, match=r"exactly once|no samples"):
        Partition(tuple(np.array(part, dtype=int) for part in parts))
