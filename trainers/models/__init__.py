"""Networks, one file each; they know nothing of stores or training."""
