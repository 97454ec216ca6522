"""`ocg alert`: why a service gave up, told to the journal, to a program and to a webhook."""
