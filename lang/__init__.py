"""Text → checked script: the language itself, without kernel, BCC or root."""
