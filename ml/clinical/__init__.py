"""Clinical rules as tables: early warning, grades, interactions. Rules are cited and versioned; nothing here is learnt."""
