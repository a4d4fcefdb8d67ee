"""What is measured of clicks on data that nobody here wrote."""
