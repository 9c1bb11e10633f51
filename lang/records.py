"""A class with annotations → a value class: what `dataclasses` makes of it, at a tenth of the cost at start.

`dataclasses.dataclass` compiles up to six methods for each class when it is imported: 50 ms for ebt's 150
classes, a fifth of a one-liner's whole run. Here the methods are shared, and `__init__` is compiled when
a class makes its first value. Type checkers are told that these are the ones of `dataclasses`.
"""

from __future__ import annotations

from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import fields as fields
    from dataclasses import is_dataclass as is_dataclass
    from dataclasses import replace as replace
else:
    MISSING = object()

    class Field:
        """One field: its name, and how it is filled when no value is given."""

        __slots__ = ("compare", "default", "default_factory", "init", "name")

        def __init__(self, default=MISSING, default_factory=MISSING, init=True, compare=True):
            self.name = ""
            self.default, self.default_factory = default, default_factory
            self.init, self.compare = init, compare

    def field(*, default=MISSING, default_factory=MISSING, init=True, compare=True):
        """As `dataclasses.field`."""
        return Field(default, default_factory, init, compare)

    def dataclass(cls=None, /, *, frozen=False, eq=True, repr=True, slots=False):
        """As `dataclasses.dataclass`; `slots` only says that no other attribute is ever set."""
        if cls is None:
            return lambda cls: _equip(cls, frozen, eq, repr)
        return _equip(cls, frozen, eq, repr)

    def fields(value):
        """The fields of a value or its class, in order."""
        return tuple(value.__dataclass_fields__.values())

    def is_dataclass(value):
        """Whether this is such a value, or such a class."""
        return hasattr(value, "__dataclass_fields__")

    def replace(value, /, **changes):
        """A copy with other values in some fields."""
        known = type(value).__dataclass_fields__
        for name in changes:
            if name not in known:
                raise TypeError(f"{type(value).__name__} has no field {name}")
        copy = object.__new__(type(value))
        copy.__dict__.update(value.__dict__)
        copy.__dict__.update(changes)
        return copy

    def _equip(cls, frozen, eq, repr):
        known = {}
        for base in reversed(cls.__mro__[1:]):
            known.update(getattr(base, "__dataclass_fields__", {}))
        for name, kind in cls.__annotations__.items():
            if not str(kind).startswith("ClassVar"):
                known[name] = _own_field(cls, name)
        cls.__dataclass_fields__ = known
        cls.__match_args__ = tuple(item.name for item in known.values() if item.init)
        if "__init__" not in cls.__dict__:
            cls.__init__ = _first_init(cls)
        if repr and "__repr__" not in cls.__dict__:
            cls.__repr__ = _repr
        if eq:
            _make_comparable(cls, [item.name for item in known.values() if item.compare], frozen)
        if frozen:
            cls.__setattr__ = _refuse_setattr
            cls.__delattr__ = _refuse_delattr
        return cls

    def _own_field(cls, name):
        default = cls.__dict__.get(name, MISSING)
        item = default if isinstance(default, Field) else Field(default)
        item.name = name
        if item.default is MISSING:
            if default is item:
                delattr(cls, name)
        else:
            setattr(cls, name, item.default)
        return item

    def _first_init(cls):
        """An `__init__` that compiles the real one at the first call."""

        def first(self, *args, **kwargs):
            cls.__init__ = _compile_init(cls)
            cls.__init__(self, *args, **kwargs)

        return first

    def _compile_init(cls):
        known, parameters, lines = {"_unset": MISSING}, ["self"], ["    _into = self.__dict__"]
        for name, item in cls.__dataclass_fields__.items():
            known[f"_default_{name}"], known[f"_make_{name}"] = item.default, item.default_factory
            made = item.default_factory is not MISSING
            if not item.init:
                lines += [f"    _into[{name!r}] = _make_{name}()"] if made else []
                continue
            value = name
            if made:
                parameters.append(f"{name}=_unset")
                value = f"_make_{name}() if {name} is _unset else {name}"
            else:
                parameters.append(name if item.default is MISSING else f"{name}=_default_{name}")
            lines.append(f"    _into[{name!r}] = {value}")
        if hasattr(cls, "__post_init__"):
            lines.append("    self.__post_init__()")
        found = {}
        exec(f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines), known, found)
        return found["__init__"]

    def _make_comparable(cls, names, frozen):
        if len(names) > 1:
            values = attrgetter(*names)
        elif names:
            single = attrgetter(names[0])
            values = lambda self: (single(self),)  # noqa: E731
        else:
            values = lambda self: ()  # noqa: E731

        def equal(self, other):
            if self is other:
                return True
            return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

        def hashed(self):
            return hash(values(self))

        if "__eq__" not in cls.__dict__:
            cls.__eq__ = equal
        if "__hash__" not in cls.__dict__ or cls.__hash__ is None:
            cls.__hash__ = hashed if frozen else None

    def _repr(self):
        shown = (f"{item.name}={getattr(self, item.name)!r}" for item in fields(self))
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def _refuse_setattr(self, name, value):
        raise AttributeError(f"cannot assign to field {name!r}")

    def _refuse_delattr(self, name):
        raise AttributeError(f"cannot delete field {name!r}")
