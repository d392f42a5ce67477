"""What a party must not forget of its clients: in memory, or in a file beside its key."""

from fi_workbench.protocol.journal.contract import Journal
from fi_workbench.protocol.journal.file import FileJournal
from fi_workbench.protocol.journal.memory import MemoryJournal
from fi_workbench.protocol.journal.schema import NotAJournal, UnusableJournal

__all__ = ["FileJournal", "Journal", "MemoryJournal", "NotAJournal", "UnusableJournal"]
