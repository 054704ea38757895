"""Launchers of private database servers for the demo, the tests and developers; production code never imports them."""
