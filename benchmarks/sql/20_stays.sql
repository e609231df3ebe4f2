-- Hospital contacts, the stays they merge into, and how each stay follows the one before.

-- A contact that has been open for too long ends when the next one starts, or at its bound.
CREATE OR REPLACE TEMP TABLE contacts AS
WITH known AS (
    SELECT
        pid,
        contact_id,
        age(started_at) AS start_age,
        CASE WHEN has_ended(ended_at) THEN age(ended_at) END AS known_end_age,
        sector = 'psychiatric' AS is_psychiatric,
        admission_type = 'acute' AS is_acute,
        coalesce(has_ended(ended_at) AND discharge = 'left_early', false) AS left_early,
        hospital,
        department,
        CASE WHEN has_ended(ended_at) THEN diagnosis END AS diagnosis
    FROM read_parquet(file('admissions'), hive_partitioning = false)
    JOIN cohort USING (person_id)
    WHERE is_known(started_at, known_at)
)
SELECT
    *,
    CASE WHEN is_psychiatric THEN days(400) ELSE days(120) END AS longest,
    max(start_age) OVER (
        PARTITION BY pid ORDER BY start_age DESC RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    ) AS next_start_age,
    CASE
        WHEN known_end_age IS NULL AND start_age > longest
            THEN greatest(start_age - longest, coalesce(next_start_age, 0))
        ELSE known_end_age
    END AS end_age,
    coalesce(end_age, 0) AS until_age
FROM known;

-- A contact opens a stay if it begins more than 4 hours after all earlier ones have ended.
CREATE OR REPLACE TEMP TABLE stays AS
WITH marked AS (
    SELECT
        *,
        coalesce(
            start_age
                < min(until_age) OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - hours(4),
            true
        ) AS opens
    FROM contacts
    WINDOW earlier AS (PARTITION BY pid ORDER BY start_age DESC, is_acute DESC, contact_id)
),
numbered AS (
    SELECT *, count(*) FILTER (opens) OVER (earlier ROWS UNBOUNDED PRECEDING) AS stay
    FROM marked
    WINDOW earlier AS (PARTITION BY pid ORDER BY start_age DESC, is_acute DESC, contact_id)
),
merged AS (
    SELECT
        pid,
        max(start_age) AS start_age,
        CASE WHEN count(end_age) = count(*) THEN min(end_age) END AS end_age,
        max(start_age) - min(until_age) AS lasted,
        lasted >= hours(12) AS is_admission,
        bool_or(is_acute) FILTER (opens) AS is_acute,
        bool_or(is_psychiatric) FILTER (opens) AS first_psychiatric,
        bool_or(is_psychiatric) AS is_psychiatric,
        count(end_age) = count(*)
            AND arg_max(left_early, (-until_age, -start_age, contact_id)) AS is_unfinished
    FROM numbered
    GROUP BY pid, stay
)
SELECT
    *,
    is_acute AND is_admission AS is_acute_admission,
    lag(end_age) OVER earlier AS previous_end,
    previous_end - start_age AS gap,
    lag(is_unfinished) OVER earlier AS after_unfinished,
    lag(CASE WHEN is_admission THEN end_age END IGNORE NULLS) OVER earlier AS previous_admission_end,
    previous_admission_end - start_age AS admission_gap,
    lag(CASE WHEN is_admission THEN first_psychiatric END IGNORE NULLS) OVER earlier AS previous_psychiatric
FROM merged
WINDOW earlier AS (PARTITION BY pid ORDER BY start_age DESC);
