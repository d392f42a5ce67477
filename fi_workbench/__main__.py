"""``python -m fi_workbench``: the same as the command ``fi-workbench``."""

from fi_workbench.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
