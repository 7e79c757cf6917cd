"""Valence, arousal, expressions and action units per frame: the tasks of ABAW's challenges."""
