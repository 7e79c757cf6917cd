"""Valence, arousal, expressions and action units of every frame, as the ABAW challenges set them."""
