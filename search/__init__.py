"""Items kept and found again: the case folder, its index, queries, answers and exports."""
