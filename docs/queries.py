"""What a user of each reader writes, as it stands in ``docs/data-model.md``.

The lines are run by ``tests/test_readers.py`` in a folder that holds a dataset named ``news``.
"""

from __future__ import annotations

OPENING = {
    "duckdb": """\
CREATE VIEW articles AS
  FROM read_parquet('news/articles/**/*.parquet', hive_types = {'date': DATE});
CREATE VIEW duplicates AS
  FROM read_parquet('news/duplicates/**/*.parquet', hive_types = {'date': DATE});""",
    "polars": """\
import datetime
import polars as pl
articles = pl.scan_parquet("news/articles", hive_schema={"date": pl.Date, "topic": pl.String})
duplicates = pl.scan_parquet("news/duplicates", hive_schema={"date": pl.Date})""",
    "pandas": """\
import datetime
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
hive = ds.partitioning(pa.schema({"date": pa.date32(), "topic": pa.string()}), flavor="hive")""",
    "pyarrow": """\
import datetime
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
hive = ds.partitioning(pa.schema({"date": pa.date32(), "topic": pa.string()}), flavor="hive")
articles = ds.dataset("news/articles", partitioning=hive)
duplicates = ds.dataset("news/duplicates", partitioning=hive)""",
    "spark": """\
articles = spark.read.parquet("news/articles")
duplicates = spark.read.parquet("news/duplicates")""",
}
"""What comes first. The type of ``date`` is stated and not left to be guessed: PyArrow's guess is
text, pandas' fails at the undated partition, and where every row is undated all guess text."""

READING: dict[str, dict[str, str]] = {
    "every article": {
        "duckdb": "FROM articles",
        "polars": "articles.collect()",
        "pandas": 'pd.read_parquet("news/articles", partitioning=hive)',
        "pyarrow": "articles.to_table()",
        "spark": "articles",
    },
    "a day": {
        "duckdb": "FROM articles WHERE date = '2026-03-01'",
        "polars": 'articles.filter(pl.col("date") == datetime.date(2026, 3, 1)).collect()',
        "pandas": """\
pd.read_parquet("news/articles", partitioning=hive,
                filters=[("date", "==", datetime.date(2026, 3, 1))])""",
        "pyarrow": 'articles.to_table(filter=pc.field("date") == datetime.date(2026, 3, 1))',
        "spark": "articles.where(\"date = '2026-03-01'\")",
    },
    "days from to": {
        "duckdb": "FROM articles WHERE date BETWEEN '2026-03-01' AND '2026-03-02'",
        "polars": """\
articles.filter(
    pl.col("date").is_between(datetime.date(2026, 3, 1), datetime.date(2026, 3, 2))).collect()""",
        "pandas": """\
pd.read_parquet("news/articles", partitioning=hive,
                filters=[("date", ">=", datetime.date(2026, 3, 1)),
                         ("date", "<=", datetime.date(2026, 3, 2))])""",
        "pyarrow": """\
articles.to_table(filter=(pc.field("date") >= datetime.date(2026, 3, 1))
                       & (pc.field("date") <= datetime.date(2026, 3, 2)))""",
        "spark": "articles.where(\"date BETWEEN '2026-03-01' AND '2026-03-02'\")",
    },
    "a topic": {
        "duckdb": "FROM articles WHERE topic = 'health'",
        "polars": 'articles.filter(pl.col("topic") == "health").collect()',
        "pandas": """\
pd.read_parquet("news/articles", partitioning=hive, filters=[("topic", "==", "health")])""",
        "pyarrow": 'articles.to_table(filter=pc.field("topic") == "health")',
        "spark": "articles.where(\"topic = 'health'\")",
    },
    "a topic on a day": {
        "duckdb": "FROM articles WHERE date = '2026-03-01' AND topic = 'health'",
        "polars": """\
articles.filter(
    pl.col("date") == datetime.date(2026, 3, 1), pl.col("topic") == "health").collect()""",
        "pandas": """\
pd.read_parquet("news/articles", partitioning=hive,
                filters=[("date", "==", datetime.date(2026, 3, 1)), ("topic", "==", "health")])""",
        "pyarrow": """\
articles.to_table(filter=(pc.field("date") == datetime.date(2026, 3, 1))
                       & (pc.field("topic") == "health"))""",
        "spark": "articles.where(\"date = '2026-03-01' AND topic = 'health'\")",
    },
    "the undated": {
        "duckdb": "FROM articles WHERE date IS NULL",
        "polars": 'articles.filter(pl.col("date").is_null()).collect()',
        "pandas": """\
pd.read_parquet("news/articles", partitioning=hive, filters=ds.field("date").is_null())""",
        "pyarrow": 'articles.to_table(filter=pc.field("date").is_null())',
        "spark": 'articles.where("date IS NULL")',
    },
    "since a moment": {
        "duckdb": "FROM articles WHERE published_at >= '2026-03-02T12:00:00Z'",
        "polars": """\
articles.filter(
    pl.col("published_at") >= datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.UTC)).collect()""",
        "pandas": """\
pd.read_parquet("news/articles", partitioning=hive,
                filters=[("published_at", ">=", pd.Timestamp("2026-03-02T12:00:00Z"))])""",
        "pyarrow": """\
articles.to_table(filter=pc.field("published_at")
                       >= datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.UTC))""",
        "spark": "articles.where(\"published_at >= '2026-03-02T12:00:00Z'\")",
    },
    "places by mentions": {
        "duckdb": """\
SELECT entity.name, sum(entity.count) AS mentions FROM articles, unnest(entities) AS _(entity)
WHERE entity.type = 'place' GROUP BY entity.name""",
        "polars": """\
(articles.select(pl.col("entities").explode()).unnest("entities")
 .filter(pl.col("type") == "place").group_by("name").agg(mentions=pl.col("count").sum())
 .collect())""",
        "pandas": """\
(pd.DataFrame(pd.read_parquet("news/articles", partitioning=hive)["entities"]
              .explode().dropna().tolist())
 .query("type == 'place'").groupby("name", as_index=False).agg(mentions=("count", "sum")))""",
        "pyarrow": """\
(pa.Table.from_struct_array(pc.list_flatten(articles.to_table(columns=["entities"])["entities"]))
 .filter(pc.field("type") == "place").group_by("name").aggregate([("count", "sum")])
 .rename_columns(["name", "mentions"]))""",
        "spark": """\
(articles.selectExpr("inline(entities)").where("type = 'place'")
 .groupBy("name").sum("count").withColumnRenamed("sum(count)", "mentions"))""",
    },
    "newest revisions": {
        "duckdb": """\
FROM articles
QUALIFY row_number() OVER (PARTITION BY article_id ORDER BY revision DESC) = 1""",
        "polars": 'articles.sort("revision").group_by("article_id").last().collect()',
        "pandas": """\
(pd.read_parquet("news/articles", partitioning=hive)
 .sort_values("revision").drop_duplicates("article_id", keep="last"))""",
        "pyarrow": """\
(articles.to_table(columns=["article_id", "revision"])  # which they are; a join has the rest
 .group_by("article_id").aggregate([("revision", "max")])
 .rename_columns(["article_id", "revision"]))""",
        "spark": """\
(articles.selectExpr("*", "row_number() OVER"
                          " (PARTITION BY article_id ORDER BY revision DESC) AS newness")
 .where("newness = 1").drop("newness"))""",
    },
    "history": {
        "duckdb": """\
SELECT article_id, revision, observed_at, title, changes FROM articles
WHERE article_id IN (SELECT article_id FROM articles WHERE revision > 0)
ORDER BY article_id, revision""",
        "polars": """\
(articles.filter(pl.col("revision").max().over("article_id") > 0)
 .select("article_id", "revision", "observed_at", "title", "changes")
 .sort("article_id", "revision").collect())""",
        "pandas": """\
(pd.read_parquet("news/articles", partitioning=hive,
                 columns=["article_id", "revision", "observed_at", "title", "changes"])
 .groupby("article_id").filter(lambda work: work["revision"].max() > 0)
 .sort_values(["article_id", "revision"]))""",
        "pyarrow": """\
(articles.to_table(columns=["article_id", "revision", "observed_at", "title", "changes"],
                   filter=pc.field("article_id").isin(
                       articles.to_table(filter=pc.field("revision") > 0, columns=["article_id"])
                       ["article_id"].combine_chunks()))
 .sort_by([("article_id", "ascending"), ("revision", "ascending")]))""",
        "spark": """\
(articles.select("article_id", "revision", "observed_at", "title", "changes")
 .join(articles.where("revision > 0").select("article_id"), "article_id", "leftsemi")
 .orderBy("article_id", "revision"))""",
    },
    "copies with what they copy": {
        "duckdb": """\
SELECT copied.origin, copied.kind, articles.article_id, articles.title
FROM duplicates AS copied JOIN articles ON articles.article_id = copied.canonical_id""",
        "polars": """\
(duplicates.join(articles, left_on="canonical_id", right_on="article_id", suffix="_canonical")
 .select("origin", "kind", article_id="canonical_id", title="title_canonical").collect())""",
        "pandas": """\
(pd.read_parquet("news/duplicates", partitioning=hive, columns=["origin", "kind", "canonical_id"])
 .merge(pd.read_parquet("news/articles", partitioning=hive, columns=["article_id", "title"]),
        left_on="canonical_id", right_on="article_id").drop(columns="canonical_id"))""",
        "pyarrow": """\
(duplicates.to_table(columns={"origin": pc.field("origin"), "kind": pc.field("kind"),
                              "article_id": pc.field("canonical_id")})
 .join(articles.to_table(columns=["article_id", "title"]), "article_id", join_type="inner"))""",
        "spark": """\
(duplicates.select("origin", "kind", "canonical_id")
 .join(articles.select("article_id", "title"),
       on=[duplicates.canonical_id == articles.article_id]).drop("canonical_id"))""",
    },
}
"""What a user writes: question, reader, line. The answers of all readers hold the same rows."""

ACROSS_SCHEMAS = {
    "duckdb": """\
FROM read_parquet('news/articles/**/*.parquet',
                  hive_types = {'date': DATE}, union_by_name = true)""",
    "polars": """\
pl.scan_parquet("news/articles", hive_schema={"date": pl.Date, "topic": pl.String},
                missing_columns="insert", extra_columns="ignore").collect()""",
    "pandas": READING["every article"]["pandas"],
    "pyarrow": READING["every article"]["pyarrow"],
    "spark": 'spark.read.option("mergeSchema", "true").parquet("news/articles")',
}
"""Every article of a dataset whose schema has grown. DuckDB and Spark look into every file for its
columns; the others take those of the first file, and fill in or leave out what others differ by."""

FINISHED_RUNS = (
    "SET VARIABLE files = (WITH log AS (FROM read_json('news/_newsbeam/[cr]*s/*[0-9a-f].json', "
    "columns = {number: 'BIGINT', files: 'JSON[]', removed: 'VARCHAR[]'})), changes AS ("
    "SELECT true AS added, coalesce(number, 0) AS number, unnest(files) AS file FROM log "
    "UNION ALL SELECT false, number, to_json(unnest(removed)) FROM log) "
    "SELECT list('news/' || path) FROM (SELECT coalesce(file->>'path', file->>'$') AS path, "
    "arg_max(added, 2 * number + added::INT) AS there FROM changes GROUP BY path) "
    "WHERE there AND path LIKE 'articles/%'); FROM read_parquet(getvariable('files'), "
    "hive_types = {'date': DATE}, union_by_name = true);"
)
"""DuckDB, in one line: the articles of the commits that were carried out, whatever a run is
publishing at this moment. It takes in the manifests of schema version 1, which name files only."""
