"""What people look at: tables of verdicts, the demo's last screen, pictures of simulations."""
