-- What is counted of admissions, and of all stays; older than two years, they matter to few features. Two
-- narrow aggregates are faster than a wide one.

CREATE OR REPLACE TEMP TABLE of_admissions AS
SELECT
    pid,
    number(is_acute AND start_age <= days(30)) AS acute_admissions_30d,
    number(is_acute AND start_age <= days(90)) AS acute_admissions_90d,
    number(is_acute AND start_age <= days(180)) AS acute_admissions_180d,
    number(is_acute AND start_age <= days(365)) AS acute_admissions_365d,
    number(is_acute AND start_age <= days(730)) AS acute_admissions_730d,
    number(NOT is_acute AND start_age <= days(90)) AS planned_admissions_90d,
    number(NOT is_acute AND start_age <= days(365)) AS planned_admissions_365d,
    number(NOT is_acute AND start_age <= days(730)) AS planned_admissions_730d,
    in_days(sum(inside(start_age, end_age, 30))) AS bed_days_30d,
    in_days(sum(inside(start_age, end_age, 90))) AS bed_days_90d,
    in_days(sum(inside(start_age, end_age, 180))) AS bed_days_180d,
    in_days(sum(inside(start_age, end_age, 365))) AS bed_days_365d,
    in_days(sum(inside(start_age, end_age, 730))) AS bed_days_730d,
    in_days(sum(inside_trend(start_age, end_age, 360))) AS bed_days_trend_360d,
    in_days(min(end_age) FILTER (end_age <= days(730))) AS days_since_discharge_730d,
    in_days(min(start_age) FILTER (is_acute AND start_age <= days(730)))
        AS days_since_acute_admission_730d,
    in_days(max(lasted) FILTER (start_age <= days(365))) AS longest_admission_365d,
    in_days(max(lasted) FILTER (start_age <= days(730))) AS longest_admission_730d,
    in_days(avg(lasted::DOUBLE) FILTER (start_age <= days(365))) AS mean_admission_365d,
    in_days(avg(lasted::DOUBLE) FILTER (start_age <= days(730))) AS mean_admission_730d,
    number(is_acute AND NOT is_psychiatric AND start_age <= days(365))
        AS acute_somatic_admissions_365d,
    sum(decayed(start_age)) FILTER (is_acute AND start_age <= days(730))
        AS acute_admissions_decayed_730d,
    sum(trend(start_age, 360)) FILTER (is_acute) AS acute_admissions_trend_360d,
    number(is_acute AND admission_gap < days(30) AND start_age <= days(90))
        AS readmissions_in_30_days_90d,
    number(is_acute AND admission_gap < days(30) AND start_age <= days(365))
        AS readmissions_in_30_days_365d,
    number(is_acute AND admission_gap < days(30) AND start_age <= days(730))
        AS readmissions_in_30_days_730d,
    number(is_acute AND admission_gap < hours(72) AND start_age <= days(90))
        AS readmissions_in_72_hours_90d,
    number(is_acute AND admission_gap < hours(72) AND start_age <= days(365))
        AS readmissions_in_72_hours_365d,
    number(is_acute AND admission_gap < hours(72) AND start_age <= days(730))
        AS readmissions_in_72_hours_730d,
    in_days(min(admission_gap) FILTER (previous_admission_end <= days(365)))
        AS smallest_gap_365d,
    in_days(min(admission_gap) FILTER (previous_admission_end <= days(730)))
        AS smallest_gap_730d,
    number(is_psychiatric AND start_age <= days(90)) AS psychiatric_admissions_90d,
    number(is_psychiatric AND start_age <= days(365)) AS psychiatric_admissions_365d,
    number(is_psychiatric AND start_age <= days(730)) AS psychiatric_admissions_730d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (is_psychiatric))
        AS psychiatric_bed_days_365d,
    in_days(sum(inside(start_age, end_age, 730)) FILTER (is_psychiatric))
        AS psychiatric_bed_days_730d,
    in_days(min(end_age) FILTER (is_psychiatric AND end_age <= days(730)))
        AS days_since_psychiatric_discharge_730d,
    sum(decayed(start_age)) FILTER (is_psychiatric AND start_age <= days(730))
        AS psychiatric_admissions_decayed_730d,
    number(first_psychiatric != previous_psychiatric AND start_age <= days(365))
        AS sector_switches_365d,
    number(first_psychiatric != previous_psychiatric AND start_age <= days(730))
        AS sector_switches_730d,
    share(
        sector_switches_730d,
        number(previous_admission_end IS NOT NULL AND start_age <= days(730))
    ) AS sector_switch_share_730d
FROM stays
WHERE is_admission AND coalesce(end_age, 0) <= days(730)
GROUP BY pid;

CREATE OR REPLACE TEMP TABLE of_stays AS
SELECT
    pid,
    bool_or(end_age IS NULL) AS in_hospital,
    number(is_acute AND NOT is_admission AND start_age <= days(30)) AS emergency_visits_30d,
    number(is_acute AND NOT is_admission AND start_age <= days(90)) AS emergency_visits_90d,
    number(is_acute AND NOT is_admission AND start_age <= days(180)) AS emergency_visits_180d,
    number(is_acute AND NOT is_admission AND start_age <= days(365)) AS emergency_visits_365d,
    number(is_acute AND NOT is_admission AND start_age <= days(730)) AS emergency_visits_730d,
    sum(decayed(start_age)) FILTER (is_acute AND NOT is_admission AND start_age <= days(730))
        AS emergency_visits_decayed_730d,
    sum(trend(start_age, 360)) FILTER (is_acute AND NOT is_admission) AS emergency_visits_trend_360d,
    number(gap < hours(72) AND start_age <= days(90)) AS quick_returns_90d,
    number(gap < hours(72) AND start_age <= days(365)) AS quick_returns_365d,
    number(gap < hours(72) AND start_age <= days(730)) AS quick_returns_730d,
    share(
        number(gap < days(7) AND start_age <= days(730)),
        number(previous_end IS NOT NULL AND start_age <= days(730))
    ) AS share_within_a_week_730d,
    burstiness(
        number(previous_end <= days(730)),
        sum(gap // 1000000) FILTER (previous_end <= days(730)),
        sum((gap // 1000000) * (gap // 1000000)) FILTER (previous_end <= days(730))
    ) AS gap_burstiness_730d,
    number(is_unfinished AND end_age <= days(90)) AS unfinished_stays_90d,
    number(is_unfinished AND end_age <= days(180)) AS unfinished_stays_180d,
    number(is_unfinished AND end_age <= days(365)) AS unfinished_stays_365d,
    number(is_unfinished AND end_age <= days(730)) AS unfinished_stays_730d,
    share(unfinished_stays_365d, number(end_age <= days(365))) AS unfinished_share_365d,
    share(unfinished_stays_730d, number(end_age <= days(730))) AS unfinished_share_730d,
    is_latest(min(end_age) FILTER (is_unfinished), min(end_age)) AS last_stay_unfinished_730d,
    in_days(min(end_age) FILTER (is_unfinished)) AS days_since_unfinished_stay_730d,
    number(after_unfinished AND gap < hours(72) AND start_age <= days(365))
        AS returns_after_unfinished_365d,
    number(after_unfinished AND gap < hours(72) AND start_age <= days(730))
        AS returns_after_unfinished_730d,
    sum(decayed(end_age)) FILTER (is_unfinished AND end_age <= days(730)) AS unfinished_decayed_730d,
    sum(trend(end_age, 360)) FILTER (is_unfinished) AS unfinished_trend_360d,
    number(is_unfinished AND after_unfinished AND end_age <= days(730)) AS unfinished_again_730d,
    number(is_unfinished AND is_psychiatric AND end_age <= days(730)) AS psychiatric_unfinished_stays_730d,
    -- sectors at work
    bool_or(NOT is_psychiatric AND is_part(start_age, end_age, 30)) AS somatic_30d,
    bool_or(NOT is_psychiatric AND is_part(start_age, end_age, 90)) AS somatic_90d,
    bool_or(is_psychiatric AND is_part(start_age, end_age, 30)) AS stay_psychiatric_30d,
    bool_or(is_psychiatric AND is_part(start_age, end_age, 90)) AS stay_psychiatric_90d
FROM stays
WHERE coalesce(end_age, 0) <= days(730)
GROUP BY pid;

CREATE OR REPLACE TEMP TABLE of_old_stays AS
SELECT
    pid,
    burstiness(
        number(previous_end <= days(1825)),
        sum(gap // 1000000) FILTER (previous_end <= days(1825)),
        sum((gap // 1000000) * (gap // 1000000)) FILTER (previous_end <= days(1825))
    ) AS gap_burstiness_1825d,
    share(
        number(is_unfinished AND after_unfinished AND end_age <= days(1825)),
        number(after_unfinished AND end_age <= days(1825))
    ) AS unfinished_share_after_unfinished_1825d
FROM stays
WHERE coalesce(end_age, 0) <= days(1825)
GROUP BY pid;

-- A median looks at all gaps of a person at once, which is costly beside other aggregates.
CREATE OR REPLACE TEMP TABLE of_gaps AS
SELECT pid, in_days(median(gap)) AS median_gap_730d
FROM stays
WHERE previous_end <= days(730)
GROUP BY pid;

-- Bursts: how many begin in the days from one on. Whatever does lies in the windows that hold the one.
CREATE OR REPLACE TEMP TABLE of_acute_bursts AS
WITH spans AS (
    SELECT
        pid,
        start_age,
        count(*) OVER (later RANGE BETWEEN CURRENT ROW AND days(7) - 1 FOLLOWING) AS in_7_days,
        count(*) OVER (later RANGE BETWEEN CURRENT ROW AND days(14) - 1 FOLLOWING) AS in_14_days,
        count(*) OVER (later RANGE BETWEEN CURRENT ROW AND days(30) - 1 FOLLOWING) AS in_30_days
    FROM stays
    WHERE is_acute_admission AND start_age <= days(730)
    WINDOW later AS (PARTITION BY pid ORDER BY start_age DESC)
)
SELECT
    pid,
    max(in_7_days) FILTER (start_age <= days(90))::INTEGER AS most_acute_admissions_in_7_days_90d,
    max(in_7_days) FILTER (start_age <= days(365))::INTEGER AS most_acute_admissions_in_7_days_365d,
    max(in_7_days)::INTEGER AS most_acute_admissions_in_7_days_730d,
    max(in_14_days) FILTER (start_age <= days(365))::INTEGER AS most_acute_admissions_in_14_days_365d,
    max(in_14_days)::INTEGER AS most_acute_admissions_in_14_days_730d,
    max(in_30_days) FILTER (start_age <= days(90))::INTEGER AS most_acute_admissions_in_30_days_90d,
    max(in_30_days) FILTER (start_age <= days(365))::INTEGER AS most_acute_admissions_in_30_days_365d,
    max(in_30_days)::INTEGER AS most_acute_admissions_in_30_days_730d
FROM spans
GROUP BY pid;

CREATE OR REPLACE TEMP TABLE of_bursts AS
WITH spans AS (
    SELECT
        pid,
        count(*) OVER (later RANGE BETWEEN CURRENT ROW AND days(7) - 1 FOLLOWING) AS in_7_days,
        count(*) OVER (later RANGE BETWEEN CURRENT ROW AND days(14) - 1 FOLLOWING) AS in_14_days,
        count(*) OVER (later RANGE BETWEEN CURRENT ROW AND days(30) - 1 FOLLOWING) AS in_30_days
    FROM stays
    WHERE start_age <= days(365)
    WINDOW later AS (PARTITION BY pid ORDER BY start_age DESC)
)
SELECT
    pid,
    max(in_7_days)::INTEGER AS most_stays_in_7_days_365d,
    max(in_14_days)::INTEGER AS most_stays_in_14_days_365d,
    max(in_30_days)::INTEGER AS most_stays_in_30_days_365d
FROM spans
GROUP BY pid;
