"""``python -m anydraft.cli``: the command, for an interpreter whose scripts are not on the path."""

from anydraft.cli.app import main

main()
