"""Being a service: readiness, inherited sockets, the signal ladder, the watchdog, one `run()` for all three."""
