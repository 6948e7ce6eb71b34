"""Training with `Trainer.fit`: the LightningModule, its callbacks and the command line."""
