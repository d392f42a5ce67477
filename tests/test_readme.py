"""What the README shows runs."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from torch import nn

import fi_workbench as fi
from tests.harness import queries, torch_party

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_ten_lines(capsys):
    assert len(BLOCKS) == 6
    names = {}
    exec(BLOCKS[0], names)
    names["federation"].close()
    printed = capsys.readouterr().out.split()
    assert len(printed) == 2 * -(-len(names["labels"]) // 32)
    assert len(names["federation"].history) == 1 + len(printed) // 2


def test_every_way_to_make_a_party():
    images = np.random.default_rng(0).random((8, 1, 28, 28), dtype=np.float32)
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 2))
    estimator = LogisticRegression().fit(images.reshape(8, -1), np.arange(8) % 2)

    def function(queries):
        return np.full((len(queries), 2), 0.5)

    names = {"fi": fi, "module": module, "estimator": estimator, "function": function}
    lines = BLOCKS[1].splitlines()
    parties = []
    for line in lines[:3]:
        exec(line, names)
        parties.append(names["party"])
    names["parties"] = parties
    exec(lines[3].replace("[...]", "parties"), names)
    with names["federation"] as federation:
        record = federation.ask(images)
    assert record.present == ("clinic", "lab", "archive")
    assert record.scores.shape == (8, 2)


def test_rounds_that_pay_and_a_party_that_cheats(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"fi": fi}
    exec(BLOCKS[2], names)
    with names["federation"] as federation:
        assert (names["record"].payment, names["record"].payments.sum()) == ("settled", 1_000_000)
        assert list(federation.behaviours) == ["B"]
        assert federation.ledger.verify().ok


def test_answers_that_nobody_sees(capsys):
    with fi.Federation.demo(dataset="digits", seed=0, history=None) as federation:
        images, labels = federation.test_set
        names = {"fi": fi, "federation": federation}
        exec(BLOCKS[3], names)
        assert "coordinator" in capsys.readouterr().out
        record = names["hidden"].ask(images[:20], labels[:20])
        assert record.answers is None
        np.testing.assert_allclose(record.scores, federation.ask(images[:20]).scores, atol=1e-6)
        for one in ("votes", "noisy"):
            assert names[one].ask(images[:20], labels[:20]).present == record.present


def test_a_query_that_nobody_sees():
    clinic, images = torch_party("clinic"), queries(8)
    owners = [clinic, torch_party("lab", 1), torch_party("archive", 2)]
    with fi.Federation(owners, rule="mean_logit", history=None) as federation:
        names = {"fi": fi, "federation": federation, "images": images, "clinic": clinic}
        exec(BLOCKS[4], names)
        assert names["record"].answers is None
        np.testing.assert_allclose(names["record"].scores, federation.ask(images[:4]).scores, atol=1e-2)
    with names["alone"] as alone:
        powers = np.exp(clinic.predict(images[:4]))  # helpers have no model: the scores are the clinic's
        np.testing.assert_allclose(alone.ask(images[:4]).scores, powers / powers.sum(1, keepdims=True), atol=1e-2)


def test_a_party_joins_by_the_printed_command(tmp_path, capsys):
    party = "import fi_workbench as fi\n"
    party += "data = fi.load_dataset('digits')\n"
    party += "def model(images):\n    return images.reshape(len(images), -1)[:, :10]\n"
    party += "party = fi.Party.from_callable(model, name='lab', classes=data.classes, outputs='logits',\n"
    party += "                               input_shape=data.test_images.shape[1:])\n"
    (tmp_path / "my_party.py").write_text(party)
    made, asked = BLOCKS[5].rsplit("\n", 2)[0], BLOCKS[5].splitlines()[2]
    names = {"fi": fi}
    exec(made, names)
    command = shlex.split(capsys.readouterr().out)
    assert command[:2] == ["fi-workbench", "join"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fi_workbench", *command[1:]], cwd=tmp_path, stdout=subprocess.PIPE
    )
    try:
        exec(asked, names)
        with names["federation"] as federation:
            assert federation.ask(federation.test_set[0][:8]).present == ("lab",)
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.parametrize(
    "name", ["aggregate", "contributions", "fairness", "interactions", "payments", "gaming_matrix"]
)
def test_the_functions_on_arrays_are_there(name):
    assert f"fi.{name}(" in README
    assert callable(getattr(fi, name))
