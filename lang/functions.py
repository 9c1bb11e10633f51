"""The builtin functions: name → arguments, result type, what it is. The tables are by subject."""

from __future__ import annotations

from lang.functions_maps import MAPS
from lang.functions_output import OUTPUT
from lang.functions_system import SYSTEM
from lang.functions_text import TEXT
from lang.functions_values import VALUES
from lang.signature import Function

FUNCTIONS: dict[str, Function] = {item.name: item for item in (*OUTPUT, *MAPS, *VALUES, *TEXT, *SYSTEM)}
