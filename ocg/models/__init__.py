"""The catalog of models: fetching them, checking them, converting them to GGUF."""
