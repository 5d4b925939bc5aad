"""What transactions may say, by area. `chain.messages` puts them into one envelope."""
