"""The pipeline's stages as programs over folders: what DVC runs, from a seeded simulation to a trained model."""
