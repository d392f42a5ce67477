"""Secure inference as a mechanism of a federation in this process."""

import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

import fi_workbench as fi
from fi_workbench.core.errors import DoesNotFit, InvalidQuery
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.parties.helper import NoModel
from fi_workbench.transport.peers.in_process import InProcessNetwork
from tests.harness import CLASSES, HANG, SHAPE, SOON, queries, torch_party

NAMES = ("Ada", "Bo", "Cy")
HOW = {"mechanism": "secure_inference", "rule": "mean_logit", "history": None}
COUNTS = {"Ada": [30, 0, 5], "Bo": [1, 9, 0], "Cy": [0, 11, 15], "Di": [2, 2, 2]}


def owners(*names):
    return [torch_party(name, class_counts=COUNTS.get(name, [1, 2, 3])) for name in names or NAMES]


@pytest.fixture
def make():
    made = []

    def federation(parties=None, **settings):
        made.append(fi.Federation(parties or owners(), **{**HOW, **settings}))
        return made[-1]

    yield federation
    for one in made:
        one.close()


def plain_scores(parties, asked, **settings):
    with fi.Federation([one for one in parties if not one.is_helper], history=None, **settings) as plain:
        return plain.ask(asked).scores


@pytest.mark.parametrize("rule", ["mean_logit", "size_weighted_logit", "class_weighted_logit"])
def test_scores_are_those_in_the_clear(rule, make):
    parties, asked = owners("Ada", "Bo", "Cy", "Di"), queries(7)
    federation = make(parties, rule=rule)
    for _ in range(2):  # the first sets up, the second does not
        record = federation.ask(asked)
        assert record.present == ("Ada", "Bo", "Cy", "Di")
        assert record.answers is None
        np.testing.assert_allclose(record.scores, plain_scores(parties, asked, rule=rule), atol=1e-3)
    assert "plans" not in record.cost.stage_seconds


@pytest.mark.parametrize(("n_owners", "n_helpers"), [(1, 2), (2, 1), (2, 2), (3, 2)])
def test_helpers_take_the_roles_that_owners_are_too_few_for(n_owners, n_helpers, make):
    parties = owners(*NAMES[:n_owners])
    parties += [fi.helper(parties[0], f"Helper {number}") for number in range(n_helpers)]
    record = make(parties).ask(queries(3))
    assert len(record.present) == n_owners + n_helpers
    np.testing.assert_allclose(record.scores, plain_scores(parties, queries(3), rule="mean_logit"), atol=1e-3)


def test_too_few_members_are_refused_with_the_way_out(make):
    with pytest.raises(DoesNotFit, match=r"needs 3 parties; there are 2: .*fi\.helper"):
        make(owners("Ada", "Bo"))


def test_a_helper_is_refused_elsewhere_and_where_private_facts_of_two_would_be_summed(make):
    parties = owners("Ada", "Bo")
    helped = [*parties, fi.helper(parties[0])]
    with pytest.raises(DoesNotFit, match="Helper has no model; a helper takes part under secure_inference only"):
        make(helped, mechanism="plain")
    with pytest.raises(DoesNotFit, match="of a sum of two each knows the other's part"):
        make(helped, rule="class_weighted_logit")
    with pytest.raises(DoesNotFit, match="There are 3 helpers; 2 take all the roles"):
        make([*helped, fi.helper(parties[0], "Other"), fi.helper(parties[0], "Third")])
    assert isinstance(helped[-1].function, NoModel)
    with pytest.raises(Exception, match="a helper has no model"):
        helped[-1].predict(queries(1))


def test_what_does_not_fit_is_refused_by_name(make):
    with pytest.raises(DoesNotFit) as caught:
        make(rule="soft_vote")
    assert set(caught.value.fits) >= {"mean_logit", "size_weighted_logit", "class_weighted_logit"}
    assert "soft_vote" not in caught.value.fits
    with pytest.raises(DoesNotFit, match="no party sees its own answer, so 'laplace' cannot blur it"):
        make(mechanism=["laplace", "secure_inference"])
    outside = fi.Party.from_callable(
        lambda x: x.reshape(len(x), -1)[:, :3], name="Eve", classes=CLASSES, input_shape=SHAPE, outputs="logits"
    )
    with pytest.raises(DoesNotFit, match=r"those of Eve are no torch modules that return logits"):
        make([*owners(), outside])
    with pytest.raises(DoesNotFit, match="asks the parties something beside the round"):
        make(owners("Ada", "Bo", "Cy", "Di", "Ed", "Flo"), contribution="cohort_shapley")


def test_a_query_out_of_range_is_refused_before_anything_is_sent(make):
    federation, asked = make(), queries(2)
    federation.ask(asked)
    asked[1, 2] = 9.0
    with pytest.raises(InvalidQuery, match=r"Query 1 has an entry of size 9; .*at most 8"):
        federation.ask(asked)
    assert federation.ask(queries(2)).present == NAMES


def module_of(*layers):
    return nn.Sequential(nn.Flatten(), *layers)


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ((nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 3)), r"GELU.*does not fit secure inference.*ReLU"),
        ((nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), "may be too large for secure inference, at layer"),
    ],
)
def test_a_model_that_cannot_be_computed_with_is_named_with_its_layer(layers, why, make):
    module = module_of(*layers)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2e4 if "large" in why else 1.0)
    bad = fi.Party.from_torch(module, name="Eve", classes=CLASSES, input_shape=SHAPE, device="cpu")
    record = make([*owners(), bad]).ask(queries(2))
    assert record.present == NAMES, "the others go on without it"
    [absence] = record.absent
    assert (absence.party, absence.phase) == ("Eve", "prepare")
    assert re.search(why, absence.reason)
    with pytest.raises(fi.NoAnswer, match=why):
        make([*owners("Ada", "Bo"), bad]).ask(queries(2))


def test_logits_that_the_rule_would_clip_are_refused(make):
    module = nn.Linear(4, 3)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[40.0, 0, 0, 0], [0, 40, 0, 0], [0, 0, 40, 0]]))
    sample = queries(20)
    loud = fi.Party.from_torch(
        module, name="Eve", classes=CLASSES, input_shape=SHAPE, sample=sample, device="cpu", data_size=3
    )
    record = make([*owners(), loud]).ask(queries(2))
    assert "larger than 32; the rule clips them at 50" in record.absent[0].reason
    assert make([*owners(), loud], rule_options={"bound": 1000}).ask(queries(2)).present == (*NAMES, "Eve")


def test_a_model_that_its_owner_goes_on_training_is_set_up_anew(make):
    parties, asked = owners(), queries(3)
    federation = make(parties)
    before = federation.ask(asked).scores
    with torch.no_grad():
        parties[1].module.weight.mul_(2.5)
    record = federation.ask(asked)
    assert record.present == NAMES
    np.testing.assert_allclose(record.scores, plain_scores(parties, asked, rule="mean_logit"), atol=1e-3)
    assert np.abs(record.scores - before).max() > 0.01


def test_copies_share_the_session_and_rounds_at_once_take_turns(make):
    federation, records = make(), []
    asked = [queries(2, seed) for seed in range(6)]
    others = [federation.with_(deadline_seconds=20.0) if k % 2 else federation for k in range(6)]
    threads = [
        threading.Thread(target=lambda k=k: records.append((k, others[k].ask(asked[k])))) for k in range(len(asked))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(records) == len(asked)
    for k, record in records:
        np.testing.assert_allclose(record.scores, plain_scores(owners(), asked[k], rule="mean_logit"), atol=1e-3)


def test_calibrated_logits_are_those_at_each_owners_temperature(make):
    parties, asked = [torch_party(name, temperature=1.5 + k) for k, name in enumerate(NAMES)], queries(4)
    how = {"rule": "mean_logit", "calibration": "temperature"}
    np.testing.assert_allclose(
        make(parties, calibration="temperature").ask(asked).scores, plain_scores(parties, asked, **how), atol=1e-3
    )


def test_a_party_that_would_change_its_answer_says_that_it_sees_none(make):
    federation = make(owners("Ada", "Bo", "Cy", "Di"))
    federation.behave("Di", "random_confident")
    record = federation.ask(queries(2))
    assert record.present == NAMES
    assert "how this party behaves changes its answers" in record.absent[0].reason


@pytest.fixture
def nobody_reaches(monkeypatch):
    """Names of those who are reached by nobody directly."""
    alone, begun = set(), InProcessNetwork.__init__

    def begin(self, board, name):
        begun(self, board, name, unreachable=set(NAMES) - {name} if name in alone else ())

    monkeypatch.setattr(InProcessNetwork, "__init__", begin)
    return alone


def test_what_cannot_go_directly_is_carried_by_the_rounds_own_messages(nobody_reaches, make):
    nobody_reaches.add("Bo")
    federation = make(deadline_seconds=30.0)
    for _ in range(2):
        record = federation.ask(queries(3))
        assert record.present == NAMES
    np.testing.assert_allclose(record.scores, plain_scores(owners(), queries(3), rule="mean_logit"), atol=1e-3)
    assert record.cost.messages_out > len(NAMES), "the phase was gone through several times"


def test_parties_are_paid_for_what_they_signed(make, nobody_reaches, tmp_path):
    """Where messages are carried too, whose replies on the way are not signed."""
    nobody_reaches.add("Cy")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        federation = make(contribution="equal", ledger=ledger, budget_micro=9000)
        ledger.deposit(federation.client.public.verify_key.hex(), 100_000)
        record = federation.ask(queries(2))
        assert record.payment == "settled"
        assert record.payments.tolist() == [3000, 3000, 3000]
        assert ledger.verify().ok


def test_a_sum_over_fewer_models_than_its_owner_agrees_to_is_refused(make):
    """Helpers make the cohort larger, not the sum."""
    parties = owners("Ada", "Bo")
    cohort = [*parties, fi.helper(parties[0])]
    federation = make(cohort, policies={"Ada": fi.Policy(min_cohort=3)})
    started = time.monotonic()
    with pytest.raises(fi.NoAnswer, match="over 2 models, helpers not counted; this party agrees to 3 or more"):
        federation.ask(queries(2))
    assert time.monotonic() - started < SOON, "nobody waits for who does not come"


def test_who_refuses_a_question_ends_the_session_and_is_not_waited_for(make):
    federation = make(policies={"Bo": fi.Policy(max_batch=4)}, deadline_seconds=HANG)
    assert federation.ask(queries(4)).present == NAMES
    started = time.monotonic()
    with pytest.raises(fi.NoAnswer, match=r"Bo: refused, .*4"):
        federation.ask(queries(5))
    assert time.monotonic() - started < SOON
    assert federation.ask(queries(3)).present == NAMES


def test_hidden_queries_to_another_cohort_are_refused_where_the_difference_would_tell(make):
    """Nobody can see whether they are the same."""
    parties = owners("Ada", "Bo", "Cy", "Di")
    federation = make(parties, policies={"Ada": fi.Policy(same_cohort=True)})
    assert federation.ask(queries(2)).present == ("Ada", "Bo", "Cy", "Di")
    assert federation.ask(queries(2, seed=5)).present == ("Ada", "Bo", "Cy", "Di")
    with pytest.raises(fi.NoAnswer, match="another cohort"):
        federation.with_(parties=parties[:3]).ask(queries(2, seed=9))


def test_who_takes_part_with_anybody_is_warned(make, caplog):
    make().ask(queries(1))
    assert "who runs two members of a cohort can have the model of a third" in caplog.text


LEFT_OPEN = """
import numpy as np, torch
import fi_workbench as fi
torch.manual_seed(0)
def party(name):
    module = torch.nn.Sequential(torch.nn.Linear(4, 4096), torch.nn.ReLU(), torch.nn.Linear(4096, 3))
    return fi.Party.from_torch(module, name=name, classes=("a", "b", "c"), input_shape=(4,), device="cpu", data_size=9)
federation = fi.Federation(map(party, "ABC"), mechanism="secure_inference", rule="mean_logit", history=None)
print(federation.ask(np.zeros((16, 4), np.float32)).present)
"""


def test_an_interpreter_ends_in_order_while_masks_are_being_made():
    """Threads that are cut off within torch would abort it."""
    ended = subprocess.run([sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=100, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "('A', 'B', 'C')"), ended.stderr
