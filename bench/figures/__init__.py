"""What all pictures share: saving, the style, headings and fonts."""
