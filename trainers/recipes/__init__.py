"""Recipes, one file each: what the paper says, what is ours."""
