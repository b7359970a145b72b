"""Commands for networks that hold on other photographs, and for labels that hold."""
