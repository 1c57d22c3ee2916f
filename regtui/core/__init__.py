"""The pure heart: records, their fold into a history, schedules and analysis.

Nothing here knows a screen, a framework, a clock or a file.
"""
