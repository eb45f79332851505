"""Assets from the training set to a trained and evaluated model. May import the recommender, features and release."""
