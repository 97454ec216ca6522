"""What crosses between processes: messages, events, their wire form, and the clients that speak it."""
