"""What flows through the graph (``records``) and what lies on disk (``arrow``)."""
