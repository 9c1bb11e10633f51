"""Program text → colours: a Pygments lexer whose words are the checker's own tables."""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, words
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

from lang.builtins import BUILTINS
from lang.functions import FUNCTIONS
from lang.probes import BY_NAME

_KEYWORDS = (
    "if", "else", "while", "for", "in", "let", "return", "break", "continue", "unroll", "macro", "fn",
    "import", "config", "struct", "union", "enum", "sizeof", "offsetof", "typeof", "comptime", "option",
    "true", "false",
)  # fmt: skip
_TYPES = (
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "string", "void",
    "char",
)  # fmt: skip


class EbtLexer(RegexLexer):
    """The language, as far as colours need it."""

    name = "ebt"
    aliases: ClassVar[list[str]] = ["ebt", "bpftrace"]
    filenames: ClassVar[list[str]] = ["*.ebt", "*.bt"]
    tokens: ClassVar[dict[str, list[object]]] = {
        "root": [
            (r"//[^\n]*", Comment.Single),
            (r"/\*(?:.|\n)*?(?:\*/|\Z)", Comment.Multiline),
            (r"#[^\n]*", Comment.Preproc),
            (r'"(?:\\.|[^"\\\n])*"?', String),
            (r"@\w*", Name.Variable.Global),
            (r"\$[\w#]+", Name.Variable),
            (r"\b(?:0[xX][0-9a-fA-F_]+|\d[\d_]*(?:e\d+)?)(?:ns|us|ms|[smhd])?\b", Number),
            (words(tuple(BY_NAME), prefix=r"\b", suffix=r"(?=:)"), Name.Namespace),
            (r"\b(?:begin|end|BEGIN|END|self)\b(?=\s*[{/,])", Name.Namespace),
            (words(_KEYWORDS, prefix=r"\b", suffix=r"\b"), Keyword),
            (words(_TYPES, prefix=r"\b", suffix=r"\b"), Keyword.Type),
            (words(tuple(FUNCTIONS), prefix=r"\b", suffix=r"(?=\s*\()"), Name.Function),
            (words((*BUILTINS, "args", "opt"), prefix=r"(?<![.>])\b", suffix=r"\b"), Name.Builtin),
            (r"\w+", Name),
            (r"[-+*/%&|^~!<>=?]+", Operator),
            (r"[{}()\[\];,.:]", Punctuation),
            (r"\s+|.", Text),
        ]
    }
