"""What a run keeps of itself in files, so that it can go on after its process has gone.

`files.py` knows what lies on the disk, `keeper.py` when it is written, `point.py` how a run goes on from it.
"""

from regtui.checkpoints.files import KEEP as KEEP
from regtui.checkpoints.files import CheckpointError as CheckpointError
from regtui.checkpoints.files import Keep as Keep
from regtui.checkpoints.keeper import Keeper as Keeper
from regtui.checkpoints.point import Point as Point
from regtui.checkpoints.point import find_point as find_point
from regtui.checkpoints.state import RunState as RunState
