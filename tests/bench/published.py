"""What others have published on the same collections, printed next to what is measured here.

Each is as its authors give it: not measured here, and not always on the same questions.
"""

from __future__ import annotations

LOCOMO = """\
  published (LMEB, arXiv:2603.12572; ten conversations, a turn each, categories 1 to 4):
    best of 89 embedders, 8 billion parameters   R@5 74.0  R@10 80.8  R@20 86.6  MRR .654
    all-MiniLM-L6                                R@10 47.4"""

XQUAD = """\
  published (bm25s, all questions, nDCG@10): en 96.5  de 92.5  ru 87.1  ar 88.8  zh 12.0"""
