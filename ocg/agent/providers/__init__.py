"""Whoever gives replies."""

from ocg.agent.providers.base import Image, Model, Piece, PromptMessage, Provider, Reply, ToolSpec
from ocg.agent.providers.directory import Directory
from ocg.protocol.thinking import Reasoning

__all__ = ["Directory", "Image", "Model", "Piece", "PromptMessage", "Provider", "Reasoning", "Reply", "ToolSpec"]
