"""Texts to tokens: vocabularies, and sources of labelled texts and of running text."""
