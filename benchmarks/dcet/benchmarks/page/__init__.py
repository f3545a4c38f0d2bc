"""SVG shapes, plots and markup of the HTML reports."""
