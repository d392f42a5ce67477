"""docs/security.md, privacy.md and secure-inference.md name tests: each is there, and each attack is in the first."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "security.md"
PRIVACY = ROOT / "docs" / "privacy.md"
SECURE_INFERENCE = ROOT / "docs" / "secure-inference.md"


def functions_of(path):
    """Names of a file's functions, and of its classes' as ``Class::name``."""
    body = ast.parse(path.read_text()).body
    inner = {
        f"{node.name}::{one.name}"
        for node in body
        if isinstance(node, ast.ClassDef)
        for one in node.body
        if isinstance(one, ast.FunctionDef)
    }
    return inner | {node.name for node in body if isinstance(node, ast.FunctionDef)}


def attacks():
    files = Path(__file__).parent.glob("test_*.py")
    return {name for path in files for name in functions_of(path) if name.startswith("test_")}


def named(document=None):
    """(file or "", test) of everything in backticks that is a test, abbreviated ones spelt out."""
    found = []
    for written in re.findall(r"`([^`]*test_[^`]*|\.\.\._[^`]*)`", (document or DOCUMENT).read_text()):
        whole = re.sub(r"^\.\.\.", "test_no_spelling_of_a_path_gets_past", written)
        where, _, test = whole.rpartition("::") if whole.count("::") < 2 else whole.partition("::")
        if test.rpartition("::")[2].startswith("test_"):
            found.append((where, test))
    return found


def test_every_test_that_the_document_names_is_there():
    assert len(named()) > 50
    for where, test in named():
        there = functions_of(ROOT / where) if where else attacks()
        assert test in there, (where, test)


def test_every_test_that_the_page_on_privacy_names_is_there():
    assert len(named(PRIVACY)) > 15
    for where, test in named(PRIVACY):
        assert test in functions_of(ROOT / where), (where, test)


def test_every_test_that_the_page_on_secure_inference_names_is_there():
    assert len(named(SECURE_INFERENCE)) > 40
    for where, test in named(SECURE_INFERENCE):
        assert test in functions_of(ROOT / where), (where, test)


def test_every_attack_on_secure_inference_is_on_its_page():
    files = (ROOT / "tests" / "mpc" / "attacks").glob("test_*.py")
    there = {(str(path.relative_to(ROOT)), name) for path in files for name in functions_of(path)}
    attacked = {(where, name) for where, name in there if name.startswith("test_")}
    assert attacked
    assert attacked <= set(named(SECURE_INFERENCE)), attacked - set(named(SECURE_INFERENCE))


def test_every_attack_is_in_the_document():
    own = functions_of(Path(__file__))
    missing = attacks() - own - {test for where, test in named() if not where}
    assert missing <= {
        # details of what is named
        "test_a_hosts_condition_that_raises_keeps_out_only_whom_it_judged",
        "test_a_clock_that_is_a_little_off_harms_nothing",
        "test_an_enrolled_party_whose_clock_went_wrong_is_told_so_too",
        "test_an_exception_with_escapes_in_its_name_is_shown_without",
        "test_numbers_that_overflow_are_the_askers_mistake",
        "test_what_parties_announce_never_grows_beyond_what_can_be_read_again",
    }, missing


def test_a_name_that_is_not_there_would_be_noticed(monkeypatch, tmp_path):
    document = tmp_path / "security.md"
    document.write_text("`test_that_nobody_wrote` and `tests/test_borders.py::test_nothing_unpickles`")
    monkeypatch.setattr("tests.attacks.test_documented.DOCUMENT", document)
    assert named() == [("", "test_that_nobody_wrote"), ("tests/test_borders.py", "test_nothing_unpickles")]
    assert "test_that_nobody_wrote" not in attacks()
