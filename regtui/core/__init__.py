"""The pure heart: records, their fold into a history, and the configuration.

Nothing here knows a screen, a framework, a clock or a file.
"""
