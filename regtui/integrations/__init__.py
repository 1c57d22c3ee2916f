"""Recorders for those who train with a framework: each puts what its framework tells into a run's log.

`regtui.integrations.keras.Recorder`, `.lightning.Recorder`, `.transformers.Recorder` and `.accelerate.Recorder`. Each
module imports its framework, and nothing else does. Loops of one's own need none of them: `regtui.record`.
"""
