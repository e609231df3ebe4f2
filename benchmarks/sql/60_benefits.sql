-- Benefits: rows of one benefit that overlap or adjoin are one spell, and so are rows of any of the four
-- benefits outside the labour market.

CREATE TYPE benefit AS ENUM (
    'self_support', 'education', 'unemployment', 'social_assistance', 'sickness', 'rehabilitation',
    'flex_job', 'early_retirement', 'pension', 'parental', 'other'
);

CREATE OR REPLACE TEMP TABLE benefits AS
SELECT
    pid,
    benefit::benefit AS benefit,
    age(started_at) AS start_age,
    CASE WHEN has_ended(ended_at) THEN age(ended_at) END AS end_age,
    coalesce(end_age, 0) AS until_age
FROM read_parquet(file('social_benefits'), hive_partitioning = false)
JOIN cohort USING (person_id)
WHERE is_known(started_at, known_at);

CREATE OR REPLACE TEMP TABLE of_benefits AS
WITH marked AS (
    SELECT
        *,
        coalesce(
            start_age < min(until_age) OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true
        ) AS opens
    FROM benefits
    WINDOW earlier AS (PARTITION BY pid, benefit ORDER BY start_age DESC, until_age DESC)
),
-- Rows that are equal in the order get the same number, whichever of them opens the spell.
numbered AS (
    SELECT *, count(*) FILTER (opens) OVER (earlier RANGE UNBOUNDED PRECEDING) AS spell
    FROM marked
    WINDOW earlier AS (PARTITION BY pid, benefit ORDER BY start_age DESC, until_age DESC)
),
spells AS (
    SELECT
        pid,
        benefit,
        max(start_age) AS start_age,
        CASE WHEN count(end_age) = count(*) THEN min(end_age) END AS end_age
    FROM numbered
    GROUP BY pid, benefit, spell
),
followed AS (
    SELECT
        *,
        benefit != lag(benefit) OVER (PARTITION BY pid ORDER BY start_age DESC, benefit) AS is_switch
    FROM spells
)
SELECT
    pid,
    bool_or(benefit = 'self_support' AND end_age IS NULL) AS on_self_support,
    bool_or(benefit = 'education' AND end_age IS NULL) AS on_education,
    bool_or(benefit = 'unemployment' AND end_age IS NULL) AS on_unemployment,
    bool_or(benefit = 'social_assistance' AND end_age IS NULL) AS on_social_assistance,
    bool_or(benefit = 'sickness' AND end_age IS NULL) AS on_sickness,
    bool_or(benefit = 'rehabilitation' AND end_age IS NULL) AS on_rehabilitation,
    bool_or(benefit = 'flex_job' AND end_age IS NULL) AS on_flex_job,
    bool_or(benefit = 'early_retirement' AND end_age IS NULL) AS on_early_retirement,
    bool_or(benefit = 'pension' AND end_age IS NULL) AS on_pension,
    bool_or(benefit = 'parental' AND end_age IS NULL) AS on_parental,
    bool_or(benefit = 'other' AND end_age IS NULL) AS on_other_benefit,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (benefit = 'self_support')) AS self_support_days_365d,
    in_days(sum(inside(start_age, end_age, 730)) FILTER (benefit = 'self_support')) AS self_support_days_730d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (benefit = 'education')) AS education_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (benefit = 'unemployment')) AS unemployment_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (benefit = 'social_assistance'))
        AS social_assistance_days_365d,
    in_days(sum(inside(start_age, end_age, 730)) FILTER (benefit = 'social_assistance'))
        AS social_assistance_days_730d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (benefit = 'sickness')) AS sickness_days_365d,
    in_days(sum(inside(start_age, end_age, 730)) FILTER (benefit = 'sickness')) AS sickness_days_730d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (benefit = 'rehabilitation'))
        AS rehabilitation_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (benefit = 'flex_job')) AS flex_job_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (benefit = 'early_retirement'))
        AS early_retirement_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (benefit = 'pension')) AS pension_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (benefit = 'parental')) AS parental_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (benefit = 'other')) AS other_benefit_days_365d,
    number(is_switch AND start_age <= days(365)) AS benefit_switches_365d,
    number(is_switch AND start_age <= days(730)) AS benefit_switches_730d,
    in_days(min(start_age) FILTER (end_age IS NULL)) AS days_on_current_benefit,
    bool_and(benefit != 'self_support') FILTER (is_part(start_age, end_age, 728))
        AS never_self_supported_728d,
    bit_count(bit_or(1 << enum_code(benefit)::INTEGER) FILTER (is_part(start_age, end_age, 730)))::INTEGER
        AS benefits_730d,
    in_days(max(inside(start_age, end_age, 730)) FILTER (benefit != 'self_support'))
        AS longest_public_benefit_730d,
    in_days(sum(inside_trend(start_age, end_age, 360)) FILTER (benefit = 'self_support'))
        AS self_support_days_trend_360d,
    in_days(sum(inside_trend(start_age, end_age, 360)) FILTER (benefit = 'sickness'))
        AS sickness_days_trend_360d
FROM followed
WHERE coalesce(end_age, 0) <= days(730)
GROUP BY pid;

CREATE OR REPLACE TEMP TABLE of_outside_labour_market AS
WITH marked AS (
    SELECT
        *,
        coalesce(
            start_age < min(until_age) OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true
        ) AS opens
    FROM benefits
    WHERE benefit IN ('social_assistance', 'sickness', 'rehabilitation', 'early_retirement')
    WINDOW earlier AS (PARTITION BY pid ORDER BY start_age DESC, until_age DESC)
),
numbered AS (
    SELECT *, count(*) FILTER (opens) OVER (earlier RANGE UNBOUNDED PRECEDING) AS spell
    FROM marked
    WINDOW earlier AS (PARTITION BY pid ORDER BY start_age DESC, until_age DESC)
),
spells AS (
    SELECT
        pid,
        max(start_age) AS start_age,
        CASE WHEN count(end_age) = count(*) THEN min(end_age) END AS end_age
    FROM numbered
    GROUP BY pid, spell
)
SELECT
    pid,
    bool_or(end_age IS NULL) AS outside_labour_market,
    in_days(sum(inside(start_age, end_age, 365))) AS days_outside_labour_market_365d,
    in_days(sum(inside(start_age, end_age, 730))) AS days_outside_labour_market_730d,
    in_days(max(inside(start_age, end_age, 1825))) AS longest_outside_labour_market_1825d
FROM spells
GROUP BY pid;
