"""Languages and their algebra: alphabets, DFAs, decisions, words. Ground truth lives here.

May import nothing of the project outside this folder, and never torch.
"""
