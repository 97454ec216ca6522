"""A chat as every dialect has it, and who answers it: the agent, the local model, or a provider."""
