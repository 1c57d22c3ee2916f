"""Who is told of a run that ends, fails, diverges, begins to overfit or stalls, and by which ways.

`Lookout` says what there is to tell; a `Way` tells it: the terminal's own means, or a service that apprise knows. An
`Audience` holds the ways, each with a thread of its own, so that none of them ever holds up a run or a screen. Nothing
here is imported, opened or sent before somebody asks for it.
"""

VARIABLE = "REGTUI_NOTIFY"
"""The environment's word for `--notify`, several separated by blanks; a URL in it is not seen in `ps`."""
