"""The stages of the graph, in the order of the flow, and what they are made of.

Polling and fetching
    ``polling``        ``PollFeeds``: live feeds to what is new in them
    ``asking``         the questions that one feed takes
    ``listing``        what the answer of a feed means
    ``known_pages``    ``FindPages``, ``SetAsideKnown``: links that the dataset has already
    ``seen_pages``     the addresses of pages in the dataset's files
    ``fetching``       ``FetchPages``: links to pages
    ``following``      what the answer for a link means
    ``feed_source``    ``ReadFeeds``: both without end, for a stream
    ``feed_session``   what one worker of a stream asks, and what it gives
    ``given_away``     what a reader has given away, until a commit has it
    ``steady_clock``   a clock that never goes back and never stands still
    ``lanes``          many requests at a time, keyed by host
    ``http_client``    one client: polite, bounded, safe
    ``turns``          whose turn it is to ask a host: limits, crawl delay, hosts that are down
    ``connections``    connections to checked addresses only
    ``content_codings``  gzip, deflate, br and zstd bodies, bounded
    ``http_caching``   when to ask again
    ``addresses``      where no request may go
    ``robots``         what a robots.txt lets newsbeam fetch
    ``discovery``      the feeds that a page names
Reading
    ``reading``        ``ReadPages``: files to pages, kind by kind
    ``decoding``       bytes to text: which encoding, and how sure
    ``objects``        objects in S3 and Google Cloud Storage: listed, and streamed
    ``gunzip``         gzip streams, up to the last byte that can be had
    ``archives``       WARC records to pages, and where in an archive they stand
    ``feed_markup``    what feedparser would misread, put right before it reads it
    ``feeds``          RSS, Atom and RDF to items
    ``json_feeds``     JSON Feed to items
    ``parsed_feeds``   what the parsers of feeds give, and what they share
    ``sitemaps``       sitemaps, of news above all, to items
    ``replaying``      ``RetryFailures``: rows of failures to the pages they were about
Extracting
    ``extraction``     ``ExtractArticles``: pages to articles
    ``segmentation``   the articles of a text dump
    ``lines``          what kind of line a line is, in many languages
    ``saved_pages``    the article of a saved page or feed item
    ``prose``          words, and what is running text
    ``interstitials``  pages before, or instead of, the page; paywalls
    ``fed_fields``     what a feed knows of its item, and its page does not
    ``page_metadata``  what a saved page says about its article, and where
    ``bylines``        authors, agencies and desks in a line
    ``dates``          publication dates, and how far to trust them
Keeping
    ``slicing``        ``StageArticles``, ``StageFailures``, ``StagePages`` …: into durable blocks
    ``staging``        the files of a block, and references into them
    ``storage``        local folders and object stores, with one set of promises
Comparing
    ``fingerprints``   ``FingerprintArticles``: articles to what is compared
    ``shingles``       hashes, shingles, signatures and anchors of a text
    ``known``          ``ReadKnown``, ``PrintKnown`` …: the dataset is its own memory
    ``dataset_rows``   rows of the dataset read back: by keys, by time, and single ones whole
    ``file_keys``      which files of the dataset may hold what is looked for
    ``candidates``     ``FindCandidates``: pairs of texts that share something rare
    ``text_keys``      the keys of many texts at once
    ``buckets``        texts that share a key, in pairs
    ``likeness``       how alike two texts are, and whether one is a copy of the other
    ``clusters``       which text of a cluster stands for which
    ``deduplication``  ``AssignCopies``: which text is a copy of which
    ``works``          which text is a new revision of a work, and what it changed
    ``verdicts``       what was decided about each text, in a file for each block
    ``merging``        ``NumberRevisions``, ``MergeCopies``: works, and what their copies know
Enriching
    ``enrichment``     ``EnrichArticles``: language, entities and topics, a batch at a time
    ``language``       the language of a text
    ``entities``       persons, organisations, places … with where they stand
    ``gazetteer``      countries and cities by name
    ``topics``         the 17 top-level IPTC Media Topics
Writing and accounting
    ``writing``        ``WriteRuns``, ``AssembleTables``: rows to partitioned Parquet, staged
    ``compaction``     sorted Parquet: merging many files into few, in row groups
    ``accounts``       the lines of the run's account
    ``ledger``         ``BalanceLedger``: nothing lost, nothing silent
    ``measures``       what the stages count, and how lags are summed up
    ``progress``       ``TallyProgress``: what a person watches meanwhile
"""
