"""What tests of parties elsewhere share: a link on loopback, and rounds over it."""

import re
from contextlib import contextmanager

from fi_workbench.aggregation import rules
from fi_workbench.core.messages import Question
from fi_workbench.core.options import check_options
from fi_workbench.privacy import make_mechanism
from fi_workbench.protocol.client_side import ClientSide
from fi_workbench.protocol.engine import run_round
from fi_workbench.protocol.settings import RoundSettings
from fi_workbench.transport.hosted.link import HostedLink
from fi_workbench.transport.link import FlowerLink
from tests.harness import queries


@contextmanager
def hosted(folder, address="127.0.0.1:0", **options):
    """A link on loopback."""
    with HostedLink.open(address, name="class", folder=folder, **options) as link:
        yield link


def invitation(link, **options):
    """Where, with which certificate and token one more party may join."""
    [command] = link.invite(1, **options)
    given = dict(re.findall(r"--(link|fingerprint|token) (\S+)", command))
    return given.pop("link"), given


def online(link, *names, seconds=20.0):
    """Whether all of these parties are there, at the latest after `seconds`."""

    def there():
        return set(names) <= {entry.name for entry in link.roster.entries if entry.state == "online"}

    return link.roster.wait_for(there, seconds)


def protected(link, n=6, *, client=None, rule="soft_vote", mechanism="plain", seconds=20.0):
    """A signed question to all who are on the link, and its settings."""
    settings = RoundSettings(
        rules[rule], check_options(rule, rules[rule].options, {}), make_mechanism(mechanism), seconds
    )
    identities = {entry.name: entry.card.identity for entry in link.roster.members}
    return (client or ClientSide()).protect(Question(queries(n)), settings, identities, {}, 7), settings


def asked(link, n=6, **options):
    """The outcome of one round with all who are on the link."""
    question, settings = protected(link, n, **options)
    return sent(link, question, settings)


def sent(link, question, settings):
    members = {entry.name: (entry.node, entry.card) for entry in link.roster.members}
    return run_round(FlowerLink(link.grid, members), question.header, question.messages, settings)


def absences(outcome):
    return {absence.party: f"{absence.kind}: {absence.reason}" for absence in outcome.log.absent}
