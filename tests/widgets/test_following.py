"""What is averaged over a window of rounds is of one kind."""

import pytest

from fi_workbench.core.messages import Question
from fi_workbench.widgets.running.following import Following
from fi_workbench.widgets.running.members import Member


@pytest.fixture
def booked(toy, toy_data):
    """Ask under a contribution method, and look at the frame."""
    members = tuple(Member(party, number) for number, party in enumerate(toy.parties))
    following = Following(members, len(toy.classes or ()), 50)

    def ask(contribution, **options):
        record = toy.with_(contribution=contribution, contribution_options=options).ask(*toy_data)
        following.book(record, Question(*toy_data))
        return record, following.frame()

    return ask


def shares(frame):
    return pytest.approx([line.share for line in frame.parties])


def test_shares_of_one_method_are_not_averaged_with_those_of_another(booked):
    booked("equal")
    _, frame = booked("equal")
    assert frame.n_window == 2
    record, frame = booked("leave_one_out")
    assert (frame.n_window, frame.method) == (1, "leave_one_out")
    assert list(record.contributions) == shares(frame)
    _, frame = booked("equal")
    assert frame.n_window == 1
    assert shares(frame) == [0.25] * 4


def test_nor_under_other_options(booked):
    booked("shapley", budget=100)
    _, frame = booked("shapley", budget=200)
    assert frame.n_window == 1
