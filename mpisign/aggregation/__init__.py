"""Messages of signs and norms, how they travel, and what the server makes of them: majority votes and means."""
