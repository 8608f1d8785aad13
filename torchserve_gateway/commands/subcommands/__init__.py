"""The subcommands by what they are for; each imports its module when it runs: torch takes seconds."""
