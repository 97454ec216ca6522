"""OpenAI's Responses API: the server keeps the conversation, and an answer is a list of items."""
