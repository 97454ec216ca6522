"""Anthropic's Messages API, as its clients speak it."""
