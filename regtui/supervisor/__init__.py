"""The process that stands beside a command which runs as a run: it starts it, passes on, and says how it ended.

It takes some 11 MB, and what needs more, to look for a log or to read a command, is imported when it is asked for.
"""
