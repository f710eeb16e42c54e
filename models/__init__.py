"""Recognisers: what they are, how they are trained in speaker-grouped folds, stored and loaded.

Conventions: waveforms are float32 mono at 16 kHz; a recogniser returns one-vs-rest log-odds in the order of its
`classes`; a trained model is a folder of one JSON card and one safetensors file a fold, never a pickle.
"""
