"""Learning-rate policies: what a form can offer, and the schedules that they become.

Schedules know steps and losses, and nothing of a framework, a screen or a file.
"""

from regtui.schedules.policies import make_schedule as make_schedule
from regtui.schedules.rates import PlateauMeter as PlateauMeter
from regtui.schedules.rates import RateDrop as RateDrop
from regtui.schedules.rates import Schedule as Schedule
