"""Whoever gives replies."""

from ocg.agent.providers.base import Image, Model, Piece, PromptMessage, Provider, Reasoning, Reply, ToolSpec
from ocg.agent.providers.directory import Directory

__all__ = ["Directory", "Image", "Model", "Piece", "PromptMessage", "Provider", "Reasoning", "Reply", "ToolSpec"]
