"""Equal seeds and absences give equal digests: embedded, hosted, attached to, and on an unmodified SuperLink."""

from contextlib import ExitStack, contextmanager

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.keyfile import Keys
from fi_workbench.session.hosting import _options
from tests.harness import linear_party, queries, until
from tests.transport.superlink_process import SuperLinkProcess

NAMES = ("Ada", "Bo", "Cy", "Di")
PLACES = ("hosted", "attached", "superlink")

SETTINGS = [
    {},
    {"mechanism": "commit_reveal"},
    {"rule": "hard_vote", "contribution": "shapley"},
    {"rule": "class_competence", "contribution": "equal"},
    {"rule": "mean_logit", "seed": 5},
    {"rule": "trimmed_mean", "contribution": "correlated_agreement"},
    {"rule": "tta_instability"},
    {"rule": "dawid_skene", "payout": "floor_and_merit"},
    {"mechanism": "secure_sum"},
    {"mechanism": "secure_sum", "rule": "class_competence", "contribution": "equal"},
    {"mechanism": "encrypted_sum"},
]

NOISY = [
    {"mechanism": "laplace", "mechanism_options": {"reproducible": True}},
    {"mechanism": "gnmax", "mechanism_options": {"reproducible": True}, "rule": "hard_vote"},
]


def images(n=6, seed=1):
    return queries(n * 4, seed).reshape(n, 4, 4)


def image_party(name):
    """A linear party over little images, so that rules which rotate them can ask it again."""
    weights = np.random.default_rng([*name.encode()]).normal(size=(16, 3)).astype(np.float32)
    return fi.Party.from_callable(
        lambda queries: queries.reshape(len(queries), -1) @ weights,
        name=name, classes=("cat", "dog", "owl"), input_shape=(4, 4), outputs="logits",
        class_counts=[5 + len(name), 3, 9],
    )  # fmt: skip


class Elsewhere:
    """The same parties on each transport, each with a connection of its own."""

    def __init__(self, stack, folder):
        self._stack, self._folder = stack, folder
        self.federations, self.joined = {}, {}
        superlink = stack.enter_context(SuperLinkProcess(folder))
        hosted = stack.enter_context(fi.Federation.host(name=f"parity-{folder.name}", history=None))
        self.federations["hosted"] = hosted
        for name in NAMES:
            at = _options(hosted.invite()[0])
            self._join("hosted", name, at["link"], token=at["token"], fingerprint=at["fingerprint"])
            self._join("superlink", name, superlink.address, insecure=True)
        attached = fi.Federation.attach(f"parity-{folder.name}", history=None)
        self.federations["attached"] = stack.enter_context(attached)
        on_superlink = fi.Federation.connect(superlink.address, insecure=True, history=None)
        self.federations["superlink"] = stack.enter_context(on_superlink)
        for federation in self.federations.values():
            federation.wait_for(len(NAMES), 30)

    def _join(self, place, name, link, **how):
        joined = fi.join(image_party(name), link, key=Keys.fresh(name), **how)
        self.joined[place, name] = self._stack.enter_context(joined)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    with ExitStack() as stack:
        yield Elsewhere(stack, tmp_path_factory.mktemp("places"))


@contextmanager
def here(names=NAMES, **settings):
    with fi.Federation([image_party(name) for name in names], history=None, **settings) as federation:
        yield federation


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(map(str, settings.values())) or "plain")
def test_same_digest_everywhere(elsewhere, settings):
    with here(**settings) as embedded:
        expected = embedded.ask(images())
        for place in PLACES:
            federation = elsewhere.federations[place].with_(**settings)
            record = federation.ask(images())
            assert record.present == NAMES, record.absent
            np.testing.assert_array_equal(record.scores, expected.scores)
            np.testing.assert_array_equal(record.contributions, expected.contributions)
            # the round's number is in the digest, and those of a long-lived federation have gone on
            assert _digest_as_first(federation, record) == expected.digest, place


@pytest.mark.parametrize("settings", NOISY, ids=lambda settings: settings["mechanism"])
def test_same_digest_everywhere_with_noise_that_is_declared_reproducible(elsewhere, settings):
    with here(**settings) as embedded:
        expected = embedded.ask(images())
        for place in PLACES:
            federation = elsewhere.federations[place].with_(**settings)
            assert _digest_as_first(federation, federation.ask(images())) == expected.digest, place


def _digest_as_first(federation, record):
    """The digest that this record would have as the first round of its federation."""
    from fi_workbench.core.digest import sha256
    from fi_workbench.session import asking

    assert record.round >= 1
    kept = {}

    class Numbered:
        """The same runtime, beginning to count anew."""

        def __init__(self, runtime):
            self._runtime = runtime

        def __getattr__(self, name):
            return getattr(self._runtime, name)

        @contextmanager
        def round(self):
            with self._runtime.round():
                yield 1

        def add(self, record):
            kept["record"] = record

    question = federation._question(images(), None)
    asking.ask(Numbered(federation.runtime), federation.settings, federation.parties, question)
    assert sha256(record.query_digest) == sha256(kept["record"].query_digest)
    return kept["record"].digest


FITTED = {"stacked", "deep_set"}
"""Rules that are fitted first, at the client: what the parties do for them is what they do for the soft vote."""


@pytest.mark.parametrize("rule", sorted(set(fi.rules) - FITTED))
def test_every_rule_over_a_wire(elsewhere, rule):
    with here(rule=rule, contribution="equal") as embedded:
        record = elsewhere.federations["hosted"].with_(rule=rule, contribution="equal").ask(images(20))
        assert record.present == NAMES
        np.testing.assert_array_equal(record.scores, embedded.ask(images(20)).scores)


@pytest.mark.parametrize("method", sorted(fi.contribution_methods))
def test_every_contribution_over_a_wire(elsewhere, method):
    labels = np.arange(20) % 3
    # of four parties a cohort of three leaves one out
    chosen = {"contribution": method, "contribution_options": {"least_difference": 1} if "cohort" in method else {}}
    with here(**chosen) as embedded:
        record = elsewhere.federations["attached"].with_(**chosen).ask(images(20), labels)
        ours = embedded.ask(images(20), labels)
    assert record.cohorts == ours.cohorts
    assert record.contribution == ours.contribution == method
    np.testing.assert_array_equal(record.contributions, ours.contributions)


def test_same_digest_with_the_same_party_gone(elsewhere):
    """Its process ends in each place; over a wire the round says so as an absence."""
    digests = {}
    for place in PLACES:
        federation = elsewhere.federations[place]
        if place != "attached":  # the same link as hosted
            elsewhere.joined[place, "Cy"].stop()
        roster = federation.link.roster
        assert until(lambda roster=roster: roster.entry("Cy").state == "offline", 60)
        record = federation.with_(deadline_seconds=5).ask(images())
        assert record.present == ("Ada", "Bo", "Di")
        [absence] = record.absent
        assert (absence.party, absence.kind) == ("Cy", "unreachable"), place
        digests[place] = _digest_as_first(federation.with_(deadline_seconds=5), record)
    assert len(set(digests.values())) == 1


def test_behaviours_receipts_and_payments(tmp_path):
    """A dishonest party joins as such; its peers are paid on their receipts, over a wire as here."""
    shares = {}
    for place in ("embedded", "hosted"):
        with ExitStack() as stack:
            ledger = tmp_path / f"{place}.sqlite"
            settings = {"history": None, "ledger": ledger, "contribution": "correlated_agreement"}
            if place == "embedded":
                federation = stack.enter_context(fi.Federation([linear_party(n) for n in NAMES], **settings))
                federation.behave("Bo", "constant_label")
            else:
                federation = stack.enter_context(fi.Federation.host(announce=False, **settings))
                for name in NAMES:
                    at = _options(federation.invite()[0])
                    how = {"behaviour": "constant_label"} if name == "Bo" else {}
                    joined = fi.join(
                        linear_party(name), at["link"], key=Keys.fresh(name), token=at["token"],
                        fingerprint=at["fingerprint"], **how,
                    )  # fmt: skip
                    stack.enter_context(joined)
                federation.wait_for(len(NAMES), 30)
            federation.deposit(3 * fi.MICRO)
            record = federation.ask(queries(40))
            assert record.payment == "settled"
            assert federation.ledger.verify().ok
            shares[place] = record.contributions
    np.testing.assert_array_equal(shares["embedded"], shares["hosted"])
