"""What the server that workers are forked from holds ready: the text stages, and Numba with its typing tables.

Loading those tables is most of the time between a worker's start and its first document; here it is paid once, while
the driver reads the recipe and lists its inputs.
"""

import pyarrow as pa

import autoclave.pipelines.clean
import autoclave.pipelines.dedup.stage
import autoclave.pipelines.extract  # noqa: F401
from autoclave.cleaning.language.script import script_bytes

script_bytes(pa.array([""]))
