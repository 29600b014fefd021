"""The commands of people: `brain-tumor predict`, `app` and `audit`."""
