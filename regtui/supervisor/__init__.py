"""The process that stands beside a command which runs as a run: it starts it, passes on, and says how it ended.

It takes some 11 MB, and what needs more, to look for a log or to read a command, is imported when it is asked for.
"""

LOG_NAME, COMMANDS_NAME = "events.jsonl", "commands.jsonl"
"""As `readers` and `commands` have them, which are not loaded here; a test holds them together."""
