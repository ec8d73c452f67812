"""The scikit-learn interface: `DeepClustering`, one class per method, saving and anomaly scores."""
