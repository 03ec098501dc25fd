"""Training: from labelled structures to a potential. Needs torch; nothing else in fastmd does."""
