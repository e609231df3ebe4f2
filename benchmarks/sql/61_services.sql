-- Municipal services: the rows as they are, and the spells that rows of one service join into.

CREATE TYPE service AS ENUM (
    'shelter', 'support', 'supported_housing', 'contact_person', 'home_care', 'home_nursing', 'job_centre',
    'other'
);

CREATE OR REPLACE TEMP TABLE services AS
SELECT
    pid,
    service::service AS service,
    paragraph,
    provider,
    age(started_at) AS start_age,
    CASE WHEN has_ended(ended_at) THEN age(ended_at) END AS end_age,
    coalesce(end_age, 0) AS until_age
FROM read_parquet(file('social_services'), hive_partitioning = false)
JOIN cohort USING (person_id)
WHERE is_known(started_at, known_at);

CREATE OR REPLACE TEMP TABLE of_service_spells AS
WITH marked AS (
    SELECT
        *,
        coalesce(
            start_age < min(until_age) OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true
        ) AS opens
    FROM services
    WINDOW earlier AS (PARTITION BY pid, service ORDER BY start_age DESC, until_age DESC)
),
numbered AS (
    SELECT *, count(*) FILTER (opens) OVER (earlier RANGE UNBOUNDED PRECEDING) AS spell
    FROM marked
    WINDOW earlier AS (PARTITION BY pid, service ORDER BY start_age DESC, until_age DESC)
),
spells AS (
    SELECT
        pid,
        service,
        max(start_age) AS start_age,
        CASE WHEN count(end_age) = count(*) THEN min(end_age) END AS end_age
    FROM numbered
    GROUP BY pid, service, spell
)
SELECT
    pid,
    bool_or(service = 'shelter' AND end_age IS NULL) AS in_shelter,
    in_days(sum(inside(start_age, end_age, 90)) FILTER (service = 'shelter')) AS shelter_nights_90d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (service = 'shelter')) AS shelter_nights_365d,
    in_days(sum(inside(start_age, end_age, 730)) FILTER (service = 'shelter')) AS shelter_nights_730d,
    number(service = 'shelter' AND start_age <= days(730)) AS shelter_stays_730d,
    in_days(min(end_age) FILTER (service = 'shelter' AND end_age <= days(1825))) AS days_since_shelter_1825d,
    in_days(max(inside(start_age, end_age, 730)) FILTER (service = 'shelter')) AS longest_shelter_stay_730d,
    bool_or(service = 'support' AND end_age IS NULL) AS has_support,
    bool_or(service = 'supported_housing' AND end_age IS NULL) AS has_supported_housing,
    bool_or(service = 'contact_person' AND end_age IS NULL) AS has_contact_person,
    bool_or(service = 'home_care' AND end_age IS NULL) AS has_home_care,
    bool_or(service = 'home_nursing' AND end_age IS NULL) AS has_home_nursing,
    bool_or(service = 'job_centre' AND end_age IS NULL) AS has_job_centre,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (service = 'home_care')) AS home_care_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (service = 'home_nursing')) AS home_nursing_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (service = 'support')) AS support_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (service = 'supported_housing'))
        AS supported_housing_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (service = 'contact_person'))
        AS contact_person_days_365d,
    in_days(sum(inside(start_age, end_age, 365)) FILTER (service = 'job_centre')) AS job_centre_days_365d,
    number(service = 'home_care' AND start_age <= days(90)) AS new_home_care_90d,
    number(service = 'home_nursing' AND start_age <= days(90)) AS new_home_nursing_90d,
    in_days(sum(inside_trend(start_age, end_age, 180)) FILTER (service = 'home_care'))
        AS home_care_days_trend_180d,
    in_days(sum(inside_trend(start_age, end_age, 180)) FILTER (service = 'home_nursing'))
        AS home_nursing_days_trend_180d,
    -- One service has one open spell at most, as it reaches to the index.
    number(end_age IS NULL) AS active_services,
    number(start_age <= days(30)) AS new_services_30d,
    number(start_age <= days(90)) AS new_services_90d,
    number(start_age <= days(365)) AS new_services_365d
FROM spells
GROUP BY pid;

CREATE OR REPLACE TEMP TABLE of_services AS
SELECT
    pid,
    count(DISTINCT paragraph) FILTER (end_age IS NULL) AS active_paragraphs,
    bool_or(service IN ('home_care', 'home_nursing') AND is_part(start_age, end_age, 30)) AS care_30d,
    bool_or(service IN ('home_care', 'home_nursing') AND is_part(start_age, end_age, 90)) AS care_90d,
    bool_or(service = 'job_centre' AND is_part(start_age, end_age, 30)) AS employment_30d,
    bool_or(service = 'job_centre' AND is_part(start_age, end_age, 90)) AS employment_90d,
    bool_or(service NOT IN ('home_care', 'home_nursing', 'job_centre') AND is_part(start_age, end_age, 30))
        AS social_30d,
    bool_or(service NOT IN ('home_care', 'home_nursing', 'job_centre') AND is_part(start_age, end_age, 90))
        AS social_90d
FROM services
GROUP BY pid;

CREATE OR REPLACE TEMP TABLE of_service_providers AS
WITH served AS (
    SELECT pid, bool_or(end_age IS NULL) AS is_active, max(start_age) AS first_age
    FROM services
    WHERE provider IS NOT NULL
    GROUP BY pid, provider
),
compared AS (
    SELECT *, max(first_age) OVER (PARTITION BY pid) AS first_of_any FROM served
)
SELECT
    pid,
    number(is_active) AS active_providers,
    number(first_age <= days(30) AND first_age < first_of_any) AS new_service_providers_30d,
    number(first_age <= days(90) AND first_age < first_of_any) AS new_service_providers_90d
FROM compared
GROUP BY pid;
