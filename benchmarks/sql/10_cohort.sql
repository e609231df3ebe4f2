-- Who is eligible at the index: alive, 18 or older, resident for 365 days. Each gets a small number.

CREATE OR REPLACE TEMP TABLE cohort AS
WITH aged AS (
    SELECT
        *,
        getvariable('index_time')::DATE AS today,
        (year(today) - year(birth_date)
            - ((month(today), day(today)) < (month(birth_date), day(birth_date)))::INTEGER)::INTEGER AS age
    FROM read_parquet(file('persons'), hive_partitioning = false)
    WHERE birth_date <= getvariable('index_time')
        AND (death_date IS NULL OR death_date >= getvariable('index_time'))
        AND (observed_until IS NULL OR observed_until > getvariable('index_time'))
        AND (observed_from IS NULL OR observed_from <= getvariable('index_time') - INTERVAL 365 DAY)
)
SELECT (row_number() OVER ())::INTEGER AS pid, person_id, age, sex, municipality
FROM aged
WHERE age >= 18;
