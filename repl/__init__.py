"""The interactive prompt: the only importer of prompt_toolkit."""
