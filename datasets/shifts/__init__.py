"""Distribution shifts: conditions and the transforms behind them."""
