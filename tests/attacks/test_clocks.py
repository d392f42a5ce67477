"""Clocks that are wrong by an hour, at a party and at a client: named with the skew; nobody is harmed."""

import re

import pytest

from fi_workbench.protocol import client_side
from tests.attacks.far import WRONG_CLOCK
from tests.session.far_parties import absences, protected, sent


@pytest.mark.parametrize(("seconds", "says"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_party_whose_clock_is_an_hour_off_is_told_so_and_keeps_its_token(link, far, answers, seconds, says):
    wrong = far("Ada", link, online=False, prelude=WRONG_CLOCK.format(seconds=seconds))
    status, said = wrong.ends()
    assert status == 2
    assert re.search(rf"clock is 3[56]\d\d s {says} the link's", said), said
    assert "Traceback" not in said
    assert not link.roster.entries, "nobody entered"
    token = wrong.popen.args[wrong.popen.args.index("--token") + 1]
    far("Ada", link, token=token)  # set right, and the same token is good
    answers(link, "Ada")


def test_an_enrolled_party_whose_clock_went_wrong_is_told_so_too(link, far, answers):
    ada = far("Ada", link)
    ada.kill()
    status, said = far(
        "Ada", link=link.status.address, fingerprint=link.status.fingerprint, prelude=WRONG_CLOCK.format(seconds=7200)
    ).ends()
    assert status == 2
    assert "s ahead of the link's" in said
    assert "Set the clock" in said


@pytest.mark.parametrize("seconds", [-120, 3])
def test_a_clock_that_is_a_little_off_harms_nothing(link, far, answers, seconds):
    far("Ada", link, prelude=WRONG_CLOCK.format(seconds=seconds))
    for _ in range(3):
        answers(link, "Ada")


def test_a_question_of_an_hour_ago_or_of_an_hour_hence_is_refused_by_name(link, far, answers, monkeypatch):
    far("Ada", link)
    for seconds in (3600.0, -3600.0):
        with monkeypatch.context() as patched:
            then = client_side.time.time() + seconds
            patched.setattr(client_side.time, "time", lambda then=then: then)
            question, settings = protected(link)
        outcome = sent(link, question, settings)
        assert outcome.release.present == ()
        assert "by the client's clock" in absences(outcome)["Ada"]
        answers(link, "Ada")
