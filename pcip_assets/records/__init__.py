"""What MLflow shows of trainings: names of runs, data sets, scores, signatures and cards of models."""
