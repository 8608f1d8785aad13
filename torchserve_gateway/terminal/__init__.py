"""The words, tables, colours, waits and interruptions that all commands have in common."""
