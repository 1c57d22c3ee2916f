"""The app in a browser: a page, the server that gives it out, and an app of its own behind each page."""
