"""A workbench over a link without a network: how tests make one, and what they ask of it."""

import fi_workbench as fi
from tests.widgets.conftest import eventually, toy_party


def bench(federation, data):
    workbench = fi.Workbench(federation, queries=data[0], labels=data[1])
    workbench.state.rate, workbench.state.batch_size = None, 8
    yield workbench
    workbench.close()
    assert workbench.wait(10)


def over(link, **settings):
    return fi.Federation._over(link, None, None, {"history": None, **settings})


def come(link, *names, **more):
    return [link.join(toy_party(name, 3.0), **more) for name in names]


def names(workbench):
    return [one.party.name for one in workbench.state.members]


def has(workbench, *wanted):
    """Whether it comes to this list; looked at when a change has been brought in whole."""

    def holds():
        with workbench._desk.driver.lock:
            return names(workbench) == list(wanted)

    return eventually(holds)


def member(workbench, name):
    return next(one for one in workbench.state.members if one.party.name == name)


def said(workbench, text):
    return eventually(lambda: any(text in line for _, _, line in workbench.state.log))


def runs_on(workbench, n_rounds=3):
    reached = workbench.state.frame.round
    return eventually(lambda: workbench.state.frame.round >= reached + n_rounds)


def asks(workbench, parties):
    """Whether it comes to a round that just these answer."""
    return eventually(lambda: workbench.state.record is not None and workbench.state.record.present == parties)


def row_of(workbench, name):
    key = workbench.federation.link.roster.entry(name).key
    assert eventually(lambda: key in workbench._link._rows)
    return workbench._link.row(key)


def visible(widget):
    return widget.layout.display != "none"
