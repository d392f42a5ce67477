"""Who is behind a node: asked once at a time, however often it comes, and however many come at once."""

import threading

from fi_workbench.protocol.party_side import PartySide
from fi_workbench.transport.announcing import Announcer
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.local import LocalGrid
from tests.harness import linear_party, until


def announcer(grid):
    said, failed = [], []
    made = Announcer(grid, lambda node, card: said.append((node, card.name)), lambda *what: failed.append(what))
    return made, said, failed


def test_thousands_that_come_at_once_all_announce_themselves():
    grid = LocalGrid()
    side = PartySide(linear_party("Ada"))
    nodes = [grid.add(client_app(side.handle, {"announce"})) for _ in range(3000)]
    made, said, failed = announcer(grid)
    for node in nodes:
        made.ask(node)
    assert until(lambda: len(said) == len(nodes), 60), failed[:3]
    assert {node for node, _ in said} == set(nodes)
    made.stop()
    grid.close()


def test_a_node_that_comes_again_and_again_has_one_question_open():
    grid, go_on = LocalGrid(), threading.Event()

    def silent(_phase, _body):
        go_on.wait(60)
        return {}

    node = grid.add(client_app(silent, {"announce"}))
    other = grid.add(client_app(PartySide(linear_party("Bo")).handle, {"announce"}))
    made, said, failed = announcer(grid)
    for _ in range(50):
        made.ask(node)
    made.ask(other)
    assert until(lambda: said == [(other, "Bo")])
    assert len(made._open) == 1
    assert len(grid._box._open) == 1
    go_on.set()
    assert until(lambda: len(failed) == 1)
    made.stop()
    grid.close()
