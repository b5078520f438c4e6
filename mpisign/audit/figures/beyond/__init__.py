"""Draw what the paper does not show: bits, bandwidth, workers, networks, speed."""
