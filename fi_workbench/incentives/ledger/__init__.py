"""Money: an append-only book in double entry, receipts and settlements, and their verification by anybody."""

from fi_workbench.incentives.ledger.checking import Verification, verify_export, verify_file
from fi_workbench.incentives.ledger.ledger import Ledger
from fi_workbench.incentives.ledger.receipts import Payment, Receipt, Settlement

__all__ = ["Ledger", "Payment", "Receipt", "Settlement", "Verification", "verify_export", "verify_file"]
