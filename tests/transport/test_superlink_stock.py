"""A stock `flower-supernode`: it runs the ClientApp of our bundle, and finds contents in Flower's object store."""

import subprocess

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.keyfile import Keys
from tests.harness import linear_party, queries, until
from tests.transport.node_cases import comes
from tests.transport.superlink_process import SCRIPTS, SuperLinkProcess, environment, free_port, states

PARTY = """
import numpy as np
import fi_workbench as fi

WEIGHTS = np.array({weights!r}, np.float32)
party = fi.Party.from_callable(
    lambda queries: queries @ WEIGHTS, name="Zoe", classes=("cat", "dog", "owl"), input_shape=(4,), outputs="logits",
)
"""


@pytest.mark.timeout(300)
def test_a_stock_supernode_takes_part_beside_parties_of_ours(tmp_path):
    weights = np.random.default_rng(4).normal(size=(4, 3)).astype(np.float32)
    (tmp_path / "my_party.py").write_text(PARTY.format(weights=weights.tolist()))
    (tmp_path / "limits.toml").write_text("query_budget = 10\n")
    config = " ".join(
        f'{name}="{value}"'
        for name, value in {
            "party": f"{tmp_path / 'my_party.py'}:party",
            "key": tmp_path / "zoe.key",
            "limits": tmp_path / "limits.toml",
        }.items()
    )
    with SuperLinkProcess(tmp_path) as superlink:
        command = [SCRIPTS / "flower-supernode", "--insecure", "--superlink", superlink.address]
        with (tmp_path / "supernode.log").open("w") as log:
            supernode = subprocess.Popen(
                [*command, "--isolation", "subprocess", "--port", str(free_port()), "--node-config", config],
                stdout=log, stderr=log, cwd=tmp_path, env=environment(tmp_path),
            )  # fmt: skip
        joined = fi.join(linear_party("Ada"), superlink.address, key=Keys.fresh("Ada"), insecure=True)
        federation = fi.Federation.connect(superlink.address, insecure=True, history=None, deadline_seconds=60)
        with joined, federation:
            link = federation.link
            try:
                there = until(lambda: states(link) == {"Ada": "online", "Zoe": "online"}, 90.0)
                assert there, (states(link), (tmp_path / "supernode.log").read_text())
                zoe = link.roster.entry("Zoe").card
                assert "phases" not in zoe.capabilities, "nothing is kept from message to message"
                assert "phases" in link.roster.entry("Ada").card.capabilities

                record = federation.ask(queries())
                assert record.present == ("Ada", "Zoe"), record.absent
                own = queries() @ weights
                powers = np.exp(own - own.max(axis=1, keepdims=True))
                np.testing.assert_allclose(record.answers[1], powers / powers.sum(axis=1, keepdims=True), atol=1e-6)
                assert record.latency_seconds["Ada"] < record.latency_seconds["Zoe"], "one does not wait for the other"

                phased = federation.with_(mechanism="commit_reveal")
                assert [party.name for party in phased.parties] == ["Ada"]
                assert "'Zoe' cannot do phases, which 'commit_reveal' needs" in phased.left_out["Zoe"]

                # another interpreter answers this one, and still knows what was granted
                [absence] = federation.ask(queries()).absent
                assert (absence.party, absence.kind) == ("Zoe", "refused")
                assert "4 of 10 left for this client" in absence.reason
            finally:
                supernode.terminate()
                supernode.wait(30.0)
            comes(lambda: states(link)["Zoe"] == "offline")
