"""Methods: what protects the old tasks. One LightningModule per method."""
