"""Each attack that Holdfast must withstand, as a test that fails without the defence."""
