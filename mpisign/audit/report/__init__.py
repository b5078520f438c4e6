"""Every claim with its verdict on one page."""
