"""Dishonest parties: what each answers, what it may see, and what it falls back to."""

import threading
import time

import numpy as np
import pytest

from fi_workbench.core.arrays import check_answer, softmax
from fi_workbench.core.errors import InvalidAnswer, InvalidOption, NotDisclosed, Refused, UnknownName
from fi_workbench.core.options import options_of
from fi_workbench.parties.behaviours import Sight, behaviour, behaviours, make_behaviour

N, C = 40, 4
RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(3, N, C)).astype(np.float32) * 3
PEERS = {"Bo": softmax(LOGITS[1]), "Cy": softmax(LOGITS[2])}
TRUTH = RNG.integers(C, size=N)
SILENT = {"abstain", "garbage"}
PEERS_MATTER = {"copy_peer", "loss_maximising", "class_prior_attack", "strongest_inverted", "informed_inversion"}


def sight(outputs="logits", peers=PEERS, labels=TRUTH, own=LOGITS[0], **more):
    stopped = threading.Event()
    return Sight(
        own=own if outputs == "logits" else softmax(own),
        outputs=outputs,
        n_classes=own.shape[1],
        party="Ada",
        rng=np.random.default_rng(1),
        facts={"class_counts": np.array([5, 0, 2, 9]), "data_size": 16},
        peers=None if peers is None else lambda: peers,
        labels=None if labels is None else lambda: labels,
        stopped=stopped,
        **more,
    )


def votes(name, seen=None, **options):
    return make_behaviour(name, **options).answer(seen or sight()).argmax(axis=1)


@pytest.fixture(params=sorted(behaviours))
def name(request):
    return request.param


@pytest.fixture(params=sorted(set(behaviours) - SILENT))
def speaker(request):
    """One that names classes."""
    return request.param


@pytest.fixture
def register():
    """Registers behaviours for one test."""
    added = []

    def register(function, **stated):
        behaviour(**stated)(function)
        added.append(function.__name__)
        return make_behaviour(function.__name__)

    yield register
    for one in added:
        behaviours.remove(one)


# ---- every one of them


def test_statement_is_complete(name):
    one = behaviours[name]
    assert one.explanation.endswith(".")
    assert one.title
    assert one.leak == ("labels" if "labels" in one.sees else "wire" if "peers" in one.sees else "")
    assert {option.name for option in one.options} == {o.name for o in options_of(one.answer, one.facts)}
    for option in one.options:
        assert option.limits is None or option.limits.accepts(option.default)


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
@pytest.mark.parametrize("peers", [PEERS, {}, None])
def test_answers_are_of_the_declared_kind(name, outputs, peers):
    options = {"seconds": 0.0} if name == "slow" else {}
    one = make_behaviour(name, **options)
    if name == "abstain":
        with pytest.raises(Refused):
            one.answer(sight(outputs, peers))
        return
    answer = one.answer(sight(outputs, peers))
    if name == "garbage":
        with pytest.raises(InvalidAnswer):
            check_answer(answer, outputs, N, C, "Ada")
        return
    assert answer.dtype == np.float32
    check_answer(answer, outputs, N, C, "Ada")


def test_its_own_answer_stays_as_it_was(name):
    seen = sight()
    before = LOGITS[0].copy()
    try:
        make_behaviour(name, **({"seconds": 0.0} if name == "slow" else {})).answer(seen)
    except Refused:
        assert name == "abstain"
    np.testing.assert_array_equal(LOGITS[0], before)


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_both_kinds_name_the_same_classes(speaker, outputs):
    options = {"seconds": 0.0} if speaker == "slow" else {}
    np.testing.assert_array_equal(
        make_behaviour(speaker, **options).answer(sight(outputs)).argmax(axis=1), votes(speaker, **options)
    )


def test_it_listens_to_peers_exactly_where_it_says_so(speaker):
    options = {"seconds": 0.0} if speaker == "slow" else {}
    heard, alone = votes(speaker, **options), votes(speaker, sight(peers=None, labels=None), **options)
    assert (heard != alone).any() == (speaker in PEERS_MATTER)
    assert ("peers" in behaviours[speaker].sees) == (speaker in PEERS_MATTER)


def test_settings_make_it_again(name):
    one = make_behaviour(name)
    settings = one.settings()
    assert make_behaviour(settings.pop("name"), **settings) == one


def test_one_query_and_two_classes(speaker):
    options = {"seconds": 0.0} if speaker == "slow" else {}
    answer = make_behaviour(speaker, **options).answer(sight(own=np.array([[1.0, 2.0]]), peers=None, labels=None))
    assert check_answer(answer, "logits", 1, 2, "Ada").dtype == np.float64


# ---- what may be seen


@pytest.mark.parametrize("thing", ["own", "peers", "labels", "facts"])
def test_what_is_not_declared_cannot_be_seen(thing, register):
    def peeps(sight):
        """Looks at what it did not declare."""
        return getattr(sight, thing)

    others = tuple({"own", "peers", "labels", "facts"} - {thing})
    with pytest.raises(NotDisclosed, match=thing):
        register(peeps, sees=others).answer(sight())


@pytest.mark.parametrize("method", ["heard", "truth", "probabilities"])
def test_nor_by_a_way_round(method, register):
    def peeps(sight):
        """Looks at what it did not declare."""
        return getattr(sight, method)()

    with pytest.raises(NotDisclosed):
        register(peeps).answer(sight())


def test_a_narrowed_sight_is_not_widened_again():
    with pytest.raises(NotDisclosed):
        _ = sight().narrowed(frozenset({"own"})).narrowed(frozenset({"own", "peers"})).peers


def test_what_is_not_declared_is_not_even_in_it(register):
    def digs(sight):
        """Looks behind the guard."""
        held.update(vars(sight))
        return sight.confident(np.zeros(sight.n_queries, dtype=int), 1.0)

    held = {}
    answer = register(digs).answer(sight())
    assert answer.shape == LOGITS[0].shape
    assert not held["own"].any()
    assert (held["peers"], held["labels"], held["facts"]) == (None, None, {})


def test_one_that_claims_to_see_something_else_is_not_registered():
    with pytest.raises(ValueError, match="model"):
        behaviour(sees=("model",))


def test_one_that_says_nothing_of_itself_is_not_registered():
    def mute(sight):
        return sight

    with pytest.raises(ValueError, match="docstring"):
        behaviour()(mute)


def test_unknown_names_and_options_are_refused():
    with pytest.raises(UnknownName, match="copy_peer"):
        make_behaviour("copy_pear")
    with pytest.raises(InvalidOption, match="factor"):
        make_behaviour("sharpened", factr=2.0)
    with pytest.raises(InvalidOption, match="from 1 to 1000"):
        make_behaviour("sharpened", factor=0.0)
    with pytest.raises(InvalidOption, match="not_a_number"):
        make_behaviour("garbage", kind="rude words")


# ---- free riders


def test_a_copier_copies_whom_it_is_told():
    for peer, values in PEERS.items():
        answer = make_behaviour("copy_peer", peer=peer).answer(sight())
        np.testing.assert_allclose(softmax(answer), values, atol=1e-6)


def test_the_best_known_peer_is_the_one_of_highest_standing():
    for best, answer in PEERS.items():
        seen = sight(standing={"Ada": 1.0, "Bo": 0.5, "Cy": 0.5, best: 0.9})
        np.testing.assert_array_equal(votes("copy_peer", seen), answer.argmax(axis=1))


def test_without_standing_it_is_the_one_that_agrees_most():
    agreed = np.eye(C)[TRUTH] * 0.9 + 0.025
    odd = np.roll(agreed, 1, axis=1)
    for peers in ({"Bo": odd, "Cy": agreed, "Di": agreed}, {"Bo": agreed, "Cy": agreed, "Di": odd}):
        np.testing.assert_array_equal(votes("copy_peer", sight(peers=peers)), TRUTH)


@pytest.mark.parametrize(
    "peers", [None, {}, {"Ada": PEERS["Bo"]}, {"Bo": PEERS["Bo"][:, :2]}, {"Bo": LOGITS[1] * np.nan}]
)
def test_a_copier_who_hears_nobody_answers_itself_or_abstains(peers):
    np.testing.assert_array_equal(make_behaviour("copy_peer").answer(sight(peers=peers)), LOGITS[0])
    with pytest.raises(Refused, match="nobody to copy"):
        make_behaviour("copy_peer", otherwise="abstain").answer(sight(peers=peers))


def test_a_named_peer_that_is_silent_is_not_replaced_by_another():
    np.testing.assert_array_equal(make_behaviour("copy_peer", peer="Di").answer(sight()), LOGITS[0])


def test_constant_label_is_constant():
    np.testing.assert_array_equal(votes("constant_label", label=2), 2)
    np.testing.assert_array_equal(votes("constant_label", label=99), C - 1)
    np.testing.assert_allclose(
        make_behaviour("constant_label", label=1, confidence=0.7).answer(sight("probabilities")),
        np.tile([0.1, 0.7, 0.1, 0.1], (N, 1)),
        atol=1e-6,
    )


def test_random_confident_is_uniform_and_sure():
    many = sight(own=np.zeros((8000, C)), outputs="probabilities")
    answer = make_behaviour("random_confident").answer(many)
    assert set(np.unique(answer)) == {0.0, 1.0}
    np.testing.assert_allclose(answer.mean(axis=0), 1 / C, atol=0.02)


def test_sharpened_multiplies_logits_and_keeps_labels():
    np.testing.assert_array_equal(votes("sharpened"), LOGITS[0].argmax(axis=1))
    for outputs in ("logits", "probabilities"):
        answer = make_behaviour("sharpened", factor=3.0).answer(sight(outputs))
        np.testing.assert_allclose(
            softmax(answer) if outputs == "logits" else answer, softmax(3 * LOGITS[0]), atol=1e-4
        )


def test_over_claims_are_of_what_is_held():
    one = make_behaviour("over_claimed_counts", n_per_class=7)
    claimed = one.claims({"class_counts": np.array([1, 0, 3]), "data_size": 4, "temperature": 2.0})
    np.testing.assert_array_equal(claimed["class_counts"], [7, 7, 7])
    assert (claimed["data_size"], claimed["temperature"]) == (21, 2.0)
    assert one.claims({"data_size": 4}) == {"data_size": 7}
    assert one.claims({}) == {}
    np.testing.assert_array_equal(one.answer(sight()), LOGITS[0])


def test_all_others_tell_their_facts_truly(name):
    facts = {"class_counts": np.array([1, 2]), "data_size": 3}
    if name != "over_claimed_counts":
        assert make_behaviour(name).claims(facts) is facts


# ---- attackers


def test_sign_flip_names_the_least_likely():
    np.testing.assert_array_equal(votes("sign_flip"), LOGITS[0].argmin(axis=1))
    flipped = make_behaviour("sign_flip", strength=2.0).answer(sight())
    np.testing.assert_allclose(softmax(flipped), softmax(-2 * LOGITS[0]), atol=1e-5)


def mean_of_peers():
    return np.mean(list(PEERS.values()), axis=0)


def test_loss_maximising_names_what_the_peers_hold_for_least_likely():
    np.testing.assert_array_equal(votes("loss_maximising"), mean_of_peers().argmin(axis=1))
    np.testing.assert_array_equal(votes("loss_maximising", sight(peers=None)), LOGITS[0].argmin(axis=1))


def test_strongest_inverted_names_the_runner_up():
    np.testing.assert_array_equal(votes("strongest_inverted"), np.argsort(mean_of_peers(), axis=1)[:, -2])
    np.testing.assert_array_equal(votes("strongest_inverted", sight(peers=None)), np.argsort(LOGITS[0], axis=1)[:, -2])


def test_informed_inversion_is_never_right():
    named = votes("informed_inversion")
    assert (named != TRUTH).all()
    wrong = mean_of_peers()
    wrong[np.arange(N), TRUTH] = -1
    np.testing.assert_array_equal(named, wrong.argmax(axis=1))
    np.testing.assert_array_equal(votes("informed_inversion", sight(labels=None)), votes("strongest_inverted"))


def test_class_prior_attack_names_the_least_similar_class():
    # classes 0 and 1 share their queries, and so do 2 and 3: what is unlike 0 is 2 or 3
    rng = np.random.default_rng(0)
    pair = rng.integers(2, size=400)
    peer = np.full((400, 4), 0.02)
    peer[np.arange(400), 2 * pair] = peer[np.arange(400), 2 * pair + 1] = 0.48
    peer[np.arange(400), 2 * pair + rng.integers(2, size=400)] += 0.01
    peer /= peer.sum(axis=1, keepdims=True)
    seen = sight(own=np.zeros((400, 4)), peers={"Bo": peer}, labels=None)
    assert ((votes("class_prior_attack", seen) // 2) == 1 - pair).all()
    # as numpy's own covariance has it
    least = np.cov(mean_of_peers().T, bias=True).argmin(axis=1)
    np.testing.assert_array_equal(votes("class_prior_attack"), least[mean_of_peers().argmax(axis=1)])


# ---- failures


@pytest.mark.parametrize("kind", ["not_a_number", "infinite", "wrong_shape"])
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_garbage_is_no_answer(kind, outputs):
    with pytest.raises(InvalidAnswer, match="shape" if kind == "wrong_shape" else "NaN or infinite"):
        check_answer(make_behaviour("garbage", kind=kind).answer(sight(outputs)), outputs, N, C, "Ada")


def test_slow_is_slow_and_can_be_interrupted():
    started = time.monotonic()
    np.testing.assert_array_equal(make_behaviour("slow", seconds=0.2).answer(sight()), LOGITS[0])
    assert time.monotonic() - started >= 0.2
    seen = sight()
    threading.Timer(0.1, seen.stopped.set).start()
    started = time.monotonic()
    with pytest.raises(Refused, match="while this party was waiting"):
        make_behaviour("slow", seconds=60.0).answer(seen)
    assert time.monotonic() - started < 20
