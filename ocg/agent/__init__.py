"""ocg-agent: turns, tools, context, memory."""
