"""What the HTML reports are made of: SVG shapes, plots and markup."""
