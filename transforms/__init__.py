"""The stages of the graph, in the order of the flow, and what they are made of.

Reading
    ``reading``        ``ReadPages``: files to pages, kind by kind
    ``decoding``       bytes to text: which encoding, and how sure
    ``archives``       WARC records to pages
    ``feeds``          saved RSS and Atom to pages
Extracting
    ``extraction``     ``ExtractArticles``: pages to articles
    ``segmentation``   the articles of a text dump
    ``lines``          what kind of line a line is, in many languages
    ``saved_pages``    the article of a saved page or feed item
    ``page_metadata``  what a saved page says about its article, and where
    ``bylines``        authors, agencies and desks in a line
    ``dates``          publication dates, and how far to trust them
Comparing
    ``fingerprints``   ``FingerprintArticles``: articles to what is compared
    ``shingles``       hashes, shingles, signatures and anchors of a text
    ``known``          ``ReadKnown``, ``SetAsideUnchanged`` …: the dataset is its own memory
    ``deduplication``  ``AssignCopies``: which text is a copy of which
    ``merging``        ``MergeCopies``: canonical rows take what their copies know better
Enriching
    ``enrichment``     ``EnrichArticles``: language, entities and topics, a batch at a time
    ``language``       the language of a text
    ``entities``       persons, organisations, places … with where they stand
    ``gazetteer``      countries and cities by name
    ``topics``         the 17 top-level IPTC Media Topics
Writing and accounting
    ``writing``        ``WriteTable``, ``WriteReport``: partitioned Parquet in the staging folder
    ``accounts``       the lines of the run's account
    ``ledger``         ``BalanceLedger``: nothing lost, nothing silent
    ``progress``       ``TallyProgress``: what a person watches meanwhile
"""
