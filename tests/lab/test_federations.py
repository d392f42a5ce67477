"""What the panel's server does with federations: no HTTP in here, real processes."""

import asyncio
import json
import os
import signal

import pytest

from fi_workbench.core.errors import Closed, DoesNotFit, DuplicateName, InvalidAnswer, InvalidOption, UnknownName
from fi_workbench.lab.asked import StartRequest
from fi_workbench.lab.changes import Changes
from fi_workbench.lab.desk_client import DeskClient
from fi_workbench.lab.records import MAX_SHOWN, DeskStatus


def run(scenario):
    """Run an async scenario to its end."""
    return asyncio.run(scenario())


async def pretend(found, **changes):
    """Have a federation say something else of itself."""
    desk = DeskClient(found.name, found.desk, found.token)
    try:
        await desk.do("pretend", **changes)
    finally:
        await desk.close()


def test_a_federation_is_started_scaled_and_stopped(managing, until, is_up, find):
    async def scenario():
        async with managing() as manager:
            started = await manager.start(StartRequest(parties=3, dataset="digits", alpha=0.5))
            assert started["state"] == "preparing"
            assert started["name"] == "digits-1"
            (one,) = await until(manager, is_up)
            assert one["id"] == started["id"]  # the page keeps its entry
            assert (one["n_online"], one["n_parties"], one["by"]) == (3, 3, "panel")
            assert one["about"] == {"rule": "soft_vote", "mechanism": "plain"}
            await manager.scale(one["id"], 5)
            (one,) = await until(manager, lambda listed: listed and listed[0]["n_online"] == 5)
            assert [party["number"] for party in one["parties"]] == list(range(5))
            assert any("loading digits-1" in line for line in manager.log(one["id"]))
            await manager.stop(one["id"])
            assert await until(manager, lambda listed: not listed) == []
            assert not find()

    run(scenario)


def test_the_token_of_a_desk_is_never_shown(managing, until, is_up, find):
    async def scenario():
        async with managing() as manager:
            await manager.start(StartRequest(parties=2))
            listed = await until(manager, is_up)
            (announced,) = find()
            assert announced.token not in json.dumps(listed)

    run(scenario)


def test_one_that_others_host_is_found_watched_and_gone(managing, until, is_up, elsewhere, find):
    async def scenario():
        async with managing() as manager, elsewhere("course") as process:
            (one,) = await until(manager, is_up)
            assert (one["name"], one["by"], one["pid"]) == ("course", "kernel", process.pid)
            assert await manager.invite(one["id"], 2) == ["fi-workbench join --token 0", "fi-workbench join --token 1"]
            waiting = {"key": "00" * 32, "name": "Ann", "state": "waiting", "since": 1.0, "model": "lenet"}
            await pretend(find()[0], parties=[waiting], rounds=7, rounds_per_second=2.5)
            (one,) = await until(manager, lambda listed: listed and listed[0]["n_waiting"] == 1)
            assert (one["n_parties"], one["rounds"], one["rounds_per_second"]) == (0, 7, 2.5)
            await manager.approve(one["id"], "Ann")
            await until(manager, lambda listed: listed[0:] and listed[0]["n_online"] == 1)
            await manager.expel(one["id"], "Ann")
            await until(manager, lambda listed: listed[0:] and listed[0]["n_online"] == 0)
            with pytest.raises(InvalidOption, match="no party called 'Bob'"):
                await manager.approve(one["id"], "Bob")
            with pytest.raises(DoesNotFit, match="runs no demo parties"):
                await manager.scale(one["id"], 5)
            with pytest.raises(DoesNotFit, match="not started here"):
                manager.log(one["id"])
            await manager.stop(one["id"])
            await until(manager, lambda listed: not listed)
            assert await process.wait() == 0

    run(scenario)


def test_one_whose_desk_is_silent_is_lost_and_says_so(managing, until, is_up, elsewhere, find):
    async def scenario():
        async with managing() as manager, elsewhere():
            await until(manager, is_up)
            desk = DeskClient("theirs", find()[0].desk, find()[0].token)
            await desk.do("vanish")
            await desk.close()
            (one,) = await until(manager, lambda listed: listed and listed[0]["state"] == "lost")
            assert "does not answer" in one["reason"]
            assert one["rounds_per_second"] == 0
            with pytest.raises(Closed, match="still running"):
                await manager.invite(one["id"])

    run(scenario)


def test_one_that_was_killed_elsewhere_leaves_the_list_and_no_file(managing, until, is_up, elsewhere, runtime):
    async def scenario():
        async with managing() as manager, elsewhere() as process:
            await until(manager, is_up)
            process.kill()
            await until(manager, lambda listed: not listed)
            assert list((runtime / "fi-workbench").iterdir()) == []

    run(scenario)


def test_one_that_fails_stays_with_its_reason_until_it_is_dismissed(managing, until):
    async def scenario():
        async with managing() as manager:
            started = await manager.start(StartRequest(name="fails", parties=2, dataset="nonsense"))
            (one,) = await until(manager, lambda listed: listed and listed[0]["state"] == "failed")
            assert one["reason"] == "There is no data set called 'nonsense'."
            with pytest.raises(Closed, match="takes no orders"):
                await manager.scale(one["id"], 3)
            again = await manager.start(StartRequest(name="fails", parties=2))  # a failed one blocks no name
            await manager.stop(started["id"])
            await manager.stop(again["id"])
            assert await until(manager, lambda listed: not listed) == []

    run(scenario)


def test_a_child_that_is_killed_has_failed(managing, until, is_up):
    async def scenario():
        async with managing() as manager:
            await manager.start(StartRequest(parties=2))
            (one,) = await until(manager, is_up)
            os.kill(one["pid"], signal.SIGKILL)
            (one,) = await until(manager, lambda listed: listed and listed[0]["state"] == "failed")
            assert "status -9" in one["reason"]

    run(scenario)


def test_stopping_works_while_it_prepares_and_when_it_will_not_hear(managing, until):
    async def scenario():
        async with managing() as manager:
            slow = await manager.start(StartRequest(name="slow", parties=2))
            (one,) = await until(manager, lambda listed: listed and listed[0]["task"])
            assert one["task"] == {"task": "Training", "done": 1, "total": 5}
            await manager.stop(slow["id"])
            assert (await manager.wait("", 0))["federations"] == []
            deaf = await manager.start(StartRequest(name="deaf", parties=2))
            (one,) = await until(manager, lambda listed: listed and listed[0]["state"] == "up")
            child = manager._one(deaf["id"]).child
            await child.stop(patience_seconds=0.2)
            assert child.status == -signal.SIGKILL

    run(scenario)


def test_one_of_ours_that_others_stop_leaves_the_list(managing, until, is_up, find):
    async def scenario():
        async with managing() as manager:
            await manager.start(StartRequest(parties=1))
            await until(manager, is_up)
            desk = DeskClient("demo-1", find()[0].desk, find()[0].token)
            await desk.do("stop")
            await desk.close()
            assert await until(manager, lambda listed: not listed) == []

    run(scenario)


def test_names_and_numbers_are_limited(managing):
    async def scenario():
        async with managing(n_most=2) as manager:
            await manager.start(StartRequest(name="slow", parties=1))
            with pytest.raises(DuplicateName, match="'slow' runs already"):
                await manager.start(StartRequest(name="slow", parties=1))
            second = await manager.start(StartRequest(parties=1))
            assert second["name"] == "demo-1"
            with pytest.raises(DoesNotFit, match="max_federations"):
                await manager.start(StartRequest(parties=1))
            with pytest.raises(UnknownName, match="ended, perhaps"):
                await manager.stop("nobody")

    run(scenario)


def test_logs_are_bounded(managing, until, is_up):
    async def scenario():
        async with managing() as manager:
            started = await manager.start(StartRequest(name="chatty", parties=1))
            await until(manager, is_up)
            async with asyncio.timeout(10):
                while not any("too long is left out" in line for line in manager.log(started["id"])):
                    await asyncio.sleep(0.02)
            lines = manager.log(started["id"])
            assert len(lines) == 500
            assert max(map(len, lines)) < 2100
            assert any(line.endswith("line 699") for line in lines)

    run(scenario)


def test_closing_stops_all_and_starts_no_more(managing, until):
    async def scenario():
        async with managing() as manager:
            for _ in range(3):
                await manager.start(StartRequest(parties=1))
            await until(manager, lambda listed: [one["state"] for one in listed] == ["up"] * 3)
            await manager.close()
            with pytest.raises(DoesNotFit):
                await manager.start(StartRequest(parties=1))

    run(scenario)


def test_changes_are_told_at_once_but_not_faster_than_the_gap():
    async def scenario():
        changes = Changes(gap_seconds=0.1)
        first = changes.version
        assert await changes.wait(first, 0.01) == first
        seen = set()
        loop = asyncio.get_running_loop()
        end = loop.time() + 0.55
        while loop.time() < end:
            changes.note()
            seen.add(changes.version)
            await asyncio.sleep(0.005)
        assert 3 <= len(seen) <= 7
        assert Changes().version != Changes().version  # a restarted server does not go on with the old count
        waiting = asyncio.create_task(changes.wait(changes.version, 5.0))
        await asyncio.sleep(0)
        changes.note()
        assert await waiting not in seen

    run(scenario)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "../x"}, "cannot be a name"), ({"name": "a" * 41}, "cannot be a name"),
        ({"name": 3}, "cannot be a name"), ({"name": 'x"; import os'}, "cannot be a name"),
        ({"address": "localhost"}, "HOST:PORT"),
        ({"address": "h:70000"}, "HOST:PORT"), ({"address": "a b:1"}, "HOST:PORT"), ({"address": ["h"]}, "HOST:PORT"),
        ({"parties": 0}, "1 to 50"), ({"parties": 51}, "1 to 50"), ({"parties": True}, "1 to 50"),
        ({"parties": "3"}, "1 to 50"), ({"parties": 2, "dataset": "/etc/passwd"}, "registered one"),
        ({"parties": 2, "model": "--help"}, "registered one"), ({"parties": 2, "alpha": -1}, "alpha is a number"),
        ({"parties": 2, "alpha": float("nan")}, "alpha is a number"), ({"dataset": "digits"}, "how many of them"),
        ({"shell": "rm"}, "no option of a new federation called 'shell'"),
    ],
)  # fmt: skip
def test_what_cannot_be_started_is_refused_by_name(given, said):
    with pytest.raises((InvalidOption, UnknownName), match=said):
        StartRequest.from_json(given)


def test_arguments_say_what_was_asked():
    asked = StartRequest.from_json({"parties": 4, "dataset": "digits", "alpha": 0.25, "model": "lenet", "name": None})
    assert " ".join(asked.arguments("mine")) == (
        "host --name mine --address 127.0.0.1:0 --parties 4 --dataset digits --alpha 0.25 --model lenet --until-eof "
        "--announce-by panel --json"
    )
    assert "--parties" not in StartRequest(address="[::1]:9000").arguments("empty")


GOOD = {"version": 1, "name": "x", "parties": []}


@pytest.mark.parametrize(
    "bad",
    [
        [], {"version": 1}, GOOD | {"version": "1"}, GOOD | {"rounds": -1}, GOOD | {"rounds_per_second": float("inf")},
        GOOD | {"parties": [1]}, GOOD | {"parties": [{"name": 3}]}, GOOD | {"about": [1]}, GOOD | {"scale": "2"},
    ],
)  # fmt: skip
def test_an_answer_that_is_no_status_is_refused(bad):
    with pytest.raises(InvalidAnswer, match=r"desk"):
        DeskStatus.from_json(bad)


def test_a_thousand_parties_are_counted_and_those_that_matter_listed():
    parties = [{"name": f"P{k}", "state": "online"} for k in range(1000)]
    parties[900]["state"], parties[901]["state"] = "waiting", "expelled"
    shown = DeskStatus.from_json(GOOD | {"parties": parties, "about": {"a": [1], "b": 2, "c": "d" * 999}}).shown()
    assert (shown["n_parties"], shown["n_online"], shown["n_waiting"]) == (998, 998, 1)
    assert len(shown["parties"]) == MAX_SHOWN
    assert shown["n_unlisted"] == 1000 - MAX_SHOWN
    assert shown["parties"][-1]["number"] == 900
    assert shown["about"] == {"b": 2, "c": "d" * 300}
