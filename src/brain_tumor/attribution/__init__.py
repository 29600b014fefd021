"""Heat maps (attribution maps) and the tests of what they are worth."""
