"""Put every claim with its verdict on one page."""
