"""Options: drawn from signatures, checked by type and range."""

from typing import Annotated

import numpy as np
import pytest

from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.options import Between, OneOf, check_options, options_of


def plugin(
    answers,
    *,
    share: Annotated[float, Between(0, 0.5), "What is cut off."] = 0.2,
    steps: Annotated[int, Between(1, 10)] = 3,
    how: Annotated[str, OneOf("mean", "median")] = "mean",
    flag: bool = False,
    cap: Annotated[float | None, Between(0, 1)] = None,
    outside: Annotated[float, Between(0, 1)] = -1.0,
    free: float = 1.0,
):
    return answers


OPTIONS = options_of(plugin)


def checked(**given):
    return check_options("Rule 'plugin'", OPTIONS, given)


def test_options_are_drawn_from_the_signature():
    share, steps, how, flag, cap, *_ = OPTIONS
    assert (share.name, share.kind, share.default, share.limits) == ("share", float, 0.2, Between(0, 0.5))
    assert share.help == "What is cut off."
    assert (steps.kind, how.kind, flag.kind, cap.kind) == (int, str, bool, float)
    assert how.limits == OneOf("mean", "median")
    assert flag.limits is None


def test_defaults_fill_what_is_not_given_even_outside_their_range():
    assert checked() == {
        "share": 0.2,
        "steps": 3,
        "how": "mean",
        "flag": False,
        "cap": None,
        "outside": -1.0,
        "free": 1.0,
    }
    assert checked(outside=-1)["outside"] == -1.0, "the default may be said aloud"


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("share", 0, 0.0),
        ("share", 0.5, 0.5),
        ("share", np.float32(0.25), 0.25),
        ("steps", np.int64(4), 4),
        ("how", "median", "median"),
        ("flag", True, True),
        ("flag", np.bool_(True), True),
        ("cap", 0.5, 0.5),
        ("cap", None, None),
    ],
)
def test_what_fits_is_kept_as_plain_data(name, value, kept):
    found = checked(**{name: value})[name]
    assert found == kept
    assert type(found) is type(kept)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("share", 0.51, "a number from 0 to 0.5, not 0.51"),
        ("share", -1, "0 to 0.5"),
        ("share", float("nan"), "0 to 0.5"),
        ("share", float("inf"), "0 to 0.5"),
        ("share", True, "0 to 0.5"),
        ("share", "0.2", "0 to 0.5"),
        ("share", None, "0 to 0.5"),
        ("share", np.array([0.1, 0.2]), "0 to 0.5"),
        ("steps", 3.0, "1 to 10"),
        ("steps", 11, "1 to 10"),
        ("steps", True, "1 to 10"),
        ("how", "mode", "one of 'mean', 'median'"),
        ("how", ["mean"], "one of"),
        ("flag", 1, "must be bool, not int 1"),
        ("flag", "yes", "must be bool"),
        ("cap", 2.0, "0 to 1"),
        ("outside", -2.0, "0 to 1"),
        ("free", float("nan"), "must be float"),
        ("free", float("inf"), "must be float"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(name, value, says):
    with pytest.raises(InvalidOption) as refusal:
        checked(**{name: value})
    assert name in str(refusal.value)
    assert "Rule 'plugin'" in str(refusal.value)
    assert says in str(refusal.value)


def test_an_unknown_option_lists_the_known_ones():
    with pytest.raises(InvalidOption, match=r"no option 'shares'.*share, steps, how, flag"):
        checked(shares=0.1)
    with pytest.raises(InvalidOption, match="it has none"):
        check_options("Rule 'bare'", (), {"x": 1})


def test_declarations_that_contradict_themselves_are_refused():
    def needs(*, x):
        return x

    def one(*, x: float = 1.0):
        return x

    def other(*, x: float = 2.0):
        return x

    with pytest.raises(InvalidOption, match=r"'x' of .*needs.* needs a default"):
        options_of(needs)
    with pytest.raises(InvalidOption, match="declared twice"):
        options_of(one, other)
    assert len(options_of(one, one)) == 1
