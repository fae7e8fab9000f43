"""The round: propose, advance, verify, commit; and the state of one sequence."""
