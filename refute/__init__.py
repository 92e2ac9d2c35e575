"""For any Mamba and any language past its reach: a wrong word, and a proof that there are infinitely many (theorem 4).

May import automata, models, compiler and certify; ``checker`` shares nothing with the search.
"""
