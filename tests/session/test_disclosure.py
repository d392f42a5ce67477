"""What a federation says of who sees what."""

import fi_workbench as fi
from tests.harness import linear_party


def test_class_counts_are_seen_only_where_the_rule_uses_private_facts():
    with fi.Federation([linear_party(name) for name in ("Ada", "Bo")], history=None) as federation:
        assert not federation.disclosure.allows("coordinator", "class_counts")
        assert federation.disclosure.allows("coordinator", "answers")
        counted = federation.with_(rule="class_competence")
        assert counted.disclosure.allows("coordinator", "class_counts")
        assert not counted.disclosure.allows("client", "class_counts")
