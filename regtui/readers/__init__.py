"""Log formats that can be watched and replayed."""
