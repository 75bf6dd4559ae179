"""What a task sequence is measured by: classifiers, features, statistics, the result matrix."""
