"""Decides whether evidence proves what a certificate claims, without searching; every argument is stated here once.

Ground up: ``parts`` (rejections, files, digests), ``arithmetic`` (numbers with obligations), ``blocks`` and
``blocks_mamba2`` (the formulas of each kind of block over them), ``configuration`` and ``machine`` (the model itself),
``languages`` and ``formulas``, ``closure`` (lists of events), ``counters`` and ``slots`` (blocks with unknown numbers),
``spans`` (intervals around what rounds) and ``boxes`` (ranges that no word leaves), ``diagrams``, ``variables``,
``recalled`` and ``subformulas`` (models of past formulas), ``judge`` (what is proved by given evidence about a given
model), ``certificate`` (the files, and what they claim).

May import the base exception and the classes it loads; nothing of ``search`` and nothing of the compiler.
"""
