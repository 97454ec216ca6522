"""Starting and stopping services, whoever runs them: one interface, a file a manager."""
