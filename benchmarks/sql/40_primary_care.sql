-- Primary care: by far the most rows, and none older than two years is counted.

CREATE OR REPLACE TEMP TABLE primary_care AS
SELECT pid, age(started_at) AS start_age, kind = 'gp' AS is_gp, kind = 'out_of_hours' AS is_out_of_hours
FROM read_parquet(file('primary_care'), hive_partitioning = false)
JOIN cohort USING (person_id)
WHERE is_known(started_at, known_at) AND started_at >= getvariable('index_time') - INTERVAL 730 DAY;

CREATE OR REPLACE TEMP TABLE of_primary_care AS
SELECT
    pid,
    number(is_gp AND start_age <= days(30)) AS gp_contacts_30d,
    number(is_gp AND start_age <= days(90)) AS gp_contacts_90d,
    number(is_gp AND start_age <= days(365)) AS gp_contacts_365d,
    number(is_gp) AS gp_contacts_730d,
    number(is_out_of_hours AND start_age <= days(30)) AS out_of_hours_contacts_30d,
    number(is_out_of_hours AND start_age <= days(90)) AS out_of_hours_contacts_90d,
    number(is_out_of_hours AND start_age <= days(365)) AS out_of_hours_contacts_365d,
    number(is_out_of_hours) AS out_of_hours_contacts_730d,
    share(out_of_hours_contacts_365d, number(start_age <= days(365))) AS out_of_hours_share_365d,
    sum(decayed(start_age)) FILTER (is_out_of_hours) AS out_of_hours_decayed_730d,
    in_days(min(start_age) FILTER (is_out_of_hours)) AS days_since_out_of_hours_730d,
    sum(trend(start_age, 360)) FILTER (is_gp) AS gp_contacts_trend_360d,
    sum(trend(start_age, 360)) FILTER (is_out_of_hours) AS out_of_hours_trend_360d,
    in_days(min(start_age) FILTER (is_gp)) AS days_since_gp_contact_730d
FROM primary_care
GROUP BY pid;

CREATE OR REPLACE TEMP TABLE of_out_of_hours AS
WITH spans AS (
    SELECT
        pid,
        count(*) OVER (
            PARTITION BY pid ORDER BY start_age DESC RANGE BETWEEN CURRENT ROW AND days(7) - 1 FOLLOWING
        ) AS within_7_days
    FROM primary_care
    WHERE is_out_of_hours AND start_age <= days(365)
)
SELECT pid, max(within_7_days) AS most_out_of_hours_in_7_days_365d
FROM spans
GROUP BY pid;
