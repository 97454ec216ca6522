"""What the tests of models share: a tiny GGUF file, a tiny BERT, and a web server that misbehaves on request."""
