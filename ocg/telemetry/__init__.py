"""What a service can tell of itself: metrics that are always kept, and traces where somebody wants them."""
