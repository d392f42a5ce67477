"""Sums under homomorphic encryption: exact, read by the client alone, and unimpressed by what others send."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fi_workbench as fi
from fi_workbench.aggregation import rules
from fi_workbench.core.errors import DoesNotFit, InvalidAnswer
from fi_workbench.core.summand import Component
from fi_workbench.privacy import ckks, make_mechanism
from fi_workbench.privacy.encrypted_sum import EncryptedSum, _Part
from tests.harness import Table, linear_party, queries

NAMES = ("Ada", "Bo", "Cy", "Di")
KEY, CIPHERTEXTS = "he.public_key", "he.ciphertexts"

needs_tenseal = pytest.mark.skipif(not ckks.is_installed(), reason="tenseal, an optional extra, is not installed")


@pytest.fixture
def table():
    tables = []

    def make(names=NAMES, **options):
        parties = [linear_party(name, class_counts=[5, 3 + k, 9], data_size=17 + k) for k, name in enumerate(names)]
        tables.append(Table(parties, **options))
        return tables[-1]

    yield make
    for made in tables:
        made.close()


def replies_with(change):
    """A wrap of a party's handle that changes its reply."""
    return lambda handle: lambda phase, body: change(handle(phase, body))


def numbers(n, seed=0):
    return np.random.default_rng(seed).integers(0, 2**ckks.LIMB_BITS, n, endpoint=True)


@needs_tenseal
@pytest.mark.parametrize(
    "rule", ["soft_vote", "hard_vote", "class_competence", "size_weighted", "mean_logit", "energy_weighted", "coverage"]
)
def test_scores_are_those_of_a_plain_round(rule, table):
    made, asked = table(through_wire=True), queries(12)
    totals = {}
    if rules[rule].enrolment is not None:
        _, enrolled, _ = made.run(None, made.settings("encrypted_sum", rule))
        totals = dict(enrolled.sums)
        np.testing.assert_array_equal(totals["class_totals"], [20, 18, 36])
    hidden = made.settings("encrypted_sum", rule)
    outcome, release, scores = made.run(asked, hidden, totals=totals)
    _, _, plain = made.run(asked, made.settings("plain", rule), totals=totals)
    assert release.present == NAMES
    assert release.answers is None
    assert hidden.on_absence == "keep"
    assert outcome.scores is None, "the coordinator finishes nothing"
    assert outcome.release.sums is None, "and reads nothing"
    np.testing.assert_allclose(scores, plain, atol=1e-6)


@needs_tenseal
def test_sums_are_exact_so_that_equal_seeds_give_equal_digests():
    parties = [linear_party(name) for name in NAMES]
    digests = []
    for _ in range(2):
        with fi.Federation(parties, history=None, mechanism="encrypted_sum", seed=4) as federation:
            record = federation.ask(queries(5))
            assert record.answers is None
            digests.append(record.digest)
    assert digests[0] == digests[1]


@needs_tenseal
@pytest.mark.parametrize("n_numbers", [1, ckks.SLOTS, ckks.SLOTS + 1])
def test_whole_numbers_come_back_exactly(n_numbers):
    keys, total = ckks.Keys(), ckks.Sum(n_numbers)
    summands = [numbers(n_numbers, seed) for seed in range(3)]
    summands.append(np.full(n_numbers, 2**ckks.LIMB_BITS))
    for summand in summands:
        total.add(ckks.encrypt(keys.public(), summand))
    assert total.n_summands == 4
    assert len(total.ciphertexts()) == ckks.n_chunks(n_numbers)
    np.testing.assert_array_equal(keys.decrypt(total.ciphertexts(), n_numbers), np.sum(summands, axis=0))


@needs_tenseal
def test_the_error_stays_far_from_a_half():
    keys, total, n_parties = ckks.Keys(), ckks.Sum(ckks.SLOTS), 24
    public, summand = keys.public(), numbers(ckks.SLOTS)
    for _ in range(n_parties):
        total.add(ckks.encrypt(public, summand))
    (chunk,) = (ckks._read(keys._context, data, ckks.SLOTS) for data in total.ciphertexts())
    error = np.asarray(chunk.decrypt()) - n_parties * summand
    # a sum's error is Gaussian: with the most summands a half is then still twenty standard deviations away
    assert error.std() * np.sqrt(ckks.MAX_SUMMANDS / n_parties) < 0.5 / 15


@settings(max_examples=60, deadline=None)
@given(
    lower=st.floats(-1e6, 1e6),
    width=st.one_of(st.just(0.0), st.floats(1e-6, 1e9)),
    places=st.lists(st.floats(0, 1), min_size=1, max_size=6),
    n_parties=st.integers(1, ckks.MAX_SUMMANDS),
)
def test_steps_are_fine_for_any_range_and_limbs_never_too_long(lower, width, places, n_parties):
    component = Component("query", lower, lower + width, width, width)
    part = _Part.of("x", component, len(places), 3)
    array = np.clip(lower + width * np.asarray(places), component.lower, component.upper)
    steps = part.encoded(array)
    assert steps.shape == (part.n_numbers,)
    assert steps.size == 0 or (steps.min() >= 0 and steps.max() <= 2**ckks.LIMB_BITS)
    error = np.abs(part.decoded(n_parties * steps, n_parties) / n_parties - array)
    width = component.upper - component.lower
    assert (error <= 2.0**-20 * width + 1e-12 * max(1, abs(lower))).all()
    assert (error <= 2.0**-20 * max(1.0, width * 2.0**-28) + 1e-12 * max(1, abs(lower))).all()


@needs_tenseal
def test_nobody_but_the_client_can_decrypt(table):
    import tenseal

    made = table()
    outcome, _, _ = made.run(queries(), made.settings("encrypted_sum"))
    seen = [body for *_, body in (*made.to_parties, *made.from_parties)]
    (public,) = {body[KEY] for body in seen if KEY in body}
    single = [data for body in seen for data in body.get(CIPHERTEXTS, ())]
    assert len(single) == len(NAMES)
    context = tenseal.context_from(public, n_threads=1)
    assert context.has_public_key()
    held = (context.is_private(), context.has_galois_keys(), context.has_relin_keys())
    assert not any(held)
    for data in (*single, *outcome.release.sealed[CIPHERTEXTS]):
        with pytest.raises(ValueError, match="secret_key"):
            tenseal.ckks_vector_from(context, data).decrypt()
    with pytest.raises(InvalidAnswer, match="whole numbers"):
        ckks.Keys().decrypt(outcome.release.sealed[CIPHERTEXTS], len(queries()) * 3)
    assert outcome.release.answers is None
    assert outcome.release.parts is None


@needs_tenseal
def test_nothing_is_used_twice(table):
    made = table()
    for _ in range(2):
        made.run(queries(), made.settings("encrypted_sum"))
    publics = [body[KEY] for to, _, body in made.to_parties if to == "Ada"]
    sent = [tuple(body[CIPHERTEXTS]) for _, _, body in made.from_parties]
    assert len(set(publics)) == 2, "a key of its own for each round"
    assert len(set(sent)) == 2 * len(NAMES), "and fresh randomness for each encryption"


@needs_tenseal
def test_parameters_are_the_largest_that_seal_allows_at_128_bits():
    import tenseal

    assert sum(ckks._PRIME_BITS) == 109
    with pytest.raises(ValueError, match="parameters are not set correctly"):
        tenseal.context(tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=4096, coeff_mod_bit_sizes=[60, 50], n_threads=1)


def foreign(**changes):
    """A ciphertext that is none of ours: other numbers, another scale, or another context."""
    import tenseal

    degree = changes.get("degree", 4096)
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=degree, coeff_mod_bit_sizes=[60, 49], n_threads=1
    )
    scale = changes.get("scale", 2.0**20)
    return tenseal.ckks_vector(context, [1.0] * changes.get("n_numbers", 18), scale=scale).serialize()


BAD_REPLIES = {
    "nothing": lambda body: {},
    "no list": lambda body: {CIPHERTEXTS: body[CIPHERTEXTS][0]},
    "no bytes": lambda body: {CIPHERTEXTS: ["x"]},
    "no ciphertext": lambda body: {CIPHERTEXTS: [b"garbage"]},
    "too many": lambda body: {CIPHERTEXTS: body[CIPHERTEXTS] * 2},
    "too long": lambda body: {CIPHERTEXTS: [bytes(ckks.MAX_CIPHERTEXT_BYTES + 1)]},
    "cut": lambda body: {CIPHERTEXTS: [body[CIPHERTEXTS][0][:-100]]},
    "another scale": lambda body: {CIPHERTEXTS: [foreign(scale=2.0**24)]},
    "fewer numbers": lambda body: {CIPHERTEXTS: [foreign(n_numbers=17)]},
    "other parameters": lambda body: {CIPHERTEXTS: [foreign(degree=8192)]},
}


@needs_tenseal
@pytest.mark.parametrize("what", BAD_REPLIES)
def test_what_is_no_ciphertext_is_its_partys_absence(what, table):
    made, asked = table(wrap={"Bo": replies_with(BAD_REPLIES[what])}), queries()
    outcome, release, scores = made.run(asked, made.settings("encrypted_sum"))
    (absence,) = outcome.log.absent
    assert (absence.party, absence.kind, absence.phase) == ("Bo", "invalid", "encrypt")
    assert release.present == ("Ada", "Cy", "Di")
    _, _, without = table(("Ada", "Cy", "Di")).run(asked, made.settings("plain"))
    np.testing.assert_allclose(scores, without, atol=1e-6)


@needs_tenseal
def test_nothing_is_parsed_that_is_too_long():
    key = ckks.Keys().public()
    (data,) = ckks.encrypt(key, numbers(5))
    assert len(key) < ckks.MAX_PUBLIC_BYTES
    assert len(data) < ckks.MAX_CIPHERTEXT_BYTES
    with pytest.raises(InvalidAnswer, match="is not read; at most"):
        ckks.encrypt(key + bytes(ckks.MAX_PUBLIC_BYTES), numbers(5))
    with pytest.raises(InvalidAnswer, match="a byte string of at most"):
        ckks.Sum(5).add([data + bytes(ckks.MAX_CIPHERTEXT_BYTES)])


@needs_tenseal
def test_mutated_ciphertexts_end_in_a_named_error():
    data, rng = ckks.encrypt(ckks.Keys().public(), numbers(5))[0], np.random.default_rng(3)
    outcomes = {"refused": 0, "taken": 0}
    for _ in range(200):
        mutated = bytearray(data)
        for place in rng.integers(0, len(data) if rng.random() < 0.3 else 200, 3):
            mutated[place] = rng.integers(256)
        total = ckks.Sum(5)
        try:
            total.add([bytes(mutated)])
            outcomes["taken"] += 1  # other numbers, which nobody can tell from an honest party's
        except InvalidAnswer:
            outcomes["refused"] += 1
            assert total.n_summands == 0
    assert outcomes["refused"] > 20


@needs_tenseal
def test_fewer_than_three_are_never_summed(table):
    def gone(handle):
        def raising(phase, body):
            raise RuntimeError("gone")

        return raising

    made = table(wrap={"Bo": gone, "Cy": gone})
    outcome, release, scores = made.run(queries(), made.settings("encrypted_sum"))
    assert release.present == ()
    assert scores is None
    assert not outcome.release.sealed, "what two would show is not handed on"
    reasons = {absence.party: (absence.kind, absence.reason) for absence in outcome.log.absent}
    assert reasons["Ada"][0] == reasons["Di"][0] == "excluded"
    assert "only 2 parties are left" in reasons["Ada"][1]
    two = [linear_party(name) for name in NAMES[:2]]
    with pytest.raises(DoesNotFit, match="needs 3 parties; there are 2") as caught:
        fi.Federation(two, history=None, mechanism="encrypted_sum")
    assert caught.value.setting == "mechanism"
    assert "plain" in caught.value.fits
    assert "encrypted_sum" not in caught.value.fits


def other_key(degree, prime_bits):
    import tenseal

    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=degree, coeff_mod_bit_sizes=prime_bits, n_threads=1
    )
    return context.serialize(True, False, False, False)


BAD_KEYS = {
    "none": lambda: None,
    "garbage": lambda: b"garbage",
    "oversized": lambda: bytes(ckks.MAX_PUBLIC_BYTES + 1),
    "another degree": lambda: other_key(8192, [60, 49]),
    "another modulus": lambda: other_key(4096, [40, 40]),
    "a secret key beside it": lambda: ckks.Keys()._context.serialize(True, True, False, False),
    "a secret key alone": lambda: ckks.Keys()._context.serialize(False, True, False, False),
    "no key": ckks._parameters,
}


@needs_tenseal
@pytest.mark.parametrize("what", BAD_KEYS)
def test_a_party_encrypts_under_a_sound_key_only(what, table, monkeypatch):
    made, key = table(), BAD_KEYS[what]()
    if what != "oversized":  # what is wrong with it is found by looking, too
        monkeypatch.setattr(ckks, "MAX_PUBLIC_BYTES", 2**20)

    def protect(self, payload, cohort):
        return ckks.Keys(), {**payload, **({} if key is None else {KEY: key})}

    monkeypatch.setattr(EncryptedSum, "protect", protect)
    outcome, release, _ = made.run(queries(), made.settings("encrypted_sum"))
    assert release.present == ()
    assert [absence.party for absence in outcome.log.absent] == list(NAMES)
    assert {absence.kind for absence in outcome.log.absent} <= {"refused", "invalid"}
    assert all("public key" in absence.reason for absence in outcome.log.absent)
    assert not any(CIPHERTEXTS in body for *_, body in made.from_parties)


@needs_tenseal
@pytest.mark.parametrize("value", [2**38, -(2**30), 0.5])
def test_a_sum_that_cannot_be_is_not_taken_for_one(value, table):
    import tenseal

    def cheats(handle):
        def cheating(phase, body):
            context = tenseal.context_from(body[KEY], n_threads=1)
            handle(phase, body)
            return {CIPHERTEXTS: [tenseal.ckks_vector(context, [float(value)] * 18, scale=2.0**20).serialize()]}

        return cheating

    made = table(wrap={"Bo": cheats})
    with pytest.raises(InvalidAnswer, match="some party encrypted something else"):
        made.run(queries(6), made.settings("encrypted_sum"))


@needs_tenseal
@pytest.mark.parametrize("broken", [{}, {"he.components": "{"}, {"he.components": "[]"}, {CIPHERTEXTS: 3}])
def test_a_coordinator_that_releases_no_sum_is_named(broken, table):
    made = table()
    settings = made.settings("encrypted_sum")
    question = made.protect(queries(), settings)
    sealed = {CIPHERTEXTS: [], "he.components": "{}", "he.n_queries": 6, "he.n_classes": 3}
    release = fi.privacy.mechanism.Release(NAMES, sealed={**sealed, **broken} if broken else {})
    with pytest.raises(InvalidAnswer, match="no encrypted sum"):
        made.client.open(question, release, settings.mechanism)


def test_without_tenseal_it_is_known_and_refused_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setattr(ckks, "is_installed", lambda: False)
    assert make_mechanism("encrypted_sum").carrier.offers == "sum"
    assert make_mechanism("encrypted_sum").disclosure.allows("client", "sum")
    with pytest.raises(DoesNotFit, match=r"pip install 'fi-workbench\[he\]'") as caught:
        fi.Federation([linear_party(name) for name in NAMES], history=None, mechanism="encrypted_sum")
    assert "plain" in caught.value.fits
    with pytest.raises(DoesNotFit, match="pip install"):
        ckks.Keys()


def test_more_parties_than_the_modulus_has_room_for_are_refused():
    most = ckks.MAX_SUMMANDS
    assert "1024 parties at most" in EncryptedSum().cannot(most + 1) or not ckks.is_installed()
    # 2^28 each, at a scale of 2^20, and a sign, in a prime of 60 bits
    assert most * 2**ckks.LIMB_BITS * ckks._SCALE < 2**59
    if ckks.is_installed():
        with pytest.raises(DoesNotFit, match="1024"):
            EncryptedSum().protect({}, {str(k): None for k in range(most + 1)})
