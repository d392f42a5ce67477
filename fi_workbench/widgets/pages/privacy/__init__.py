"""The page Privacy: what is promised, who sees what, what each method must see, and the parties' budgets."""
