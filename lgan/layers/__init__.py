"""Task-aware layers, and the conversion of plain networks to them."""
