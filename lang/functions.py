"""The builtin functions: name → arguments, result type, what it is. The tables are by subject."""

from __future__ import annotations

from lang.functions_maps import MAPS
from lang.functions_options import OPTIONS
from lang.functions_output import OUTPUT
from lang.functions_paths import PATHS
from lang.functions_rows import ROWS
from lang.functions_system import SYSTEM
from lang.functions_task import TASK
from lang.functions_text import TEXT
from lang.functions_values import VALUES
from lang.signature import Function

FUNCTIONS: dict[str, Function] = {
    item.name: item for item in (*OUTPUT, *ROWS, *MAPS, *VALUES, *TEXT, *SYSTEM, *TASK, *PATHS, *OPTIONS)
}
