"""What every framework must do for a run, and where to find the ones there are.

A backend is a module of this folder with a class `Backend` made as `Backend(config, data)` that satisfies the
protocol below, and three constants: `LABEL`, `REQUIRES` (the top-level package it imports) and `INSTALL` (the
command that installs it). Its module imports the framework; nothing imports the module until it is chosen.
"""
