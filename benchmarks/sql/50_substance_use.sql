-- Substance treatments, and the spells that overlapping or adjoining ones join into. Needs stays (20).

CREATE OR REPLACE TEMP TABLE treatments AS
SELECT
    pid,
    episode_id,
    age(started_at) AS start_age,
    CASE WHEN has_ended(ended_at) THEN age(ended_at) END AS end_age,
    coalesce(end_age, 0) AS until_age,
    substance,
    provider,
    coalesce(has_ended(ended_at) AND end_reason = 'dropped_out', false) AS dropped_out,
    coalesce(has_ended(ended_at) AND end_reason = 'completed', false) AS completed
FROM read_parquet(file('substance_abuse'), hive_partitioning = false)
JOIN cohort USING (person_id)
WHERE is_known(started_at, known_at);

CREATE OR REPLACE TEMP TABLE of_treatments AS
WITH compared AS (
    SELECT
        *,
        start_age < max(start_age) OVER (PARTITION BY pid) AS is_restart,
        EXISTS (
            FROM stays
            WHERE stays.pid = treatments.pid
                AND is_admission
                AND stays.start_age >= treatments.end_age
                AND treatments.end_age > coalesce(stays.end_age, 0)
        ) AS ended_in_hospital
    FROM treatments
)
SELECT
    pid,
    bool_or(end_age IS NULL) AS in_substance_treatment,
    number(start_age <= days(365)) AS substance_treatment_starts_365d,
    number(start_age <= days(730)) AS substance_treatment_starts_730d,
    number(is_restart AND start_age <= days(365)) AS substance_treatment_restarts_365d,
    number(is_restart AND start_age <= days(730)) AS substance_treatment_restarts_730d,
    in_days(min(end_age) FILTER (end_age <= days(730))) AS days_since_substance_treatment_730d,
    in_days(max(start_age) FILTER (start_age <= days(1825))) AS days_since_first_substance_treatment_1825d,
    number(completed AND end_age <= days(730)) AS completed_substance_treatments_730d,
    count(DISTINCT substance) FILTER (substance != 'unknown' AND start_age <= days(730)) AS substances_730d,
    count(DISTINCT provider) FILTER (start_age <= days(730)) AS substance_providers_730d,
    number(substance = 'alcohol' AND start_age <= days(730)) AS alcohol_treatments_730d,
    number(substance = 'opioids' AND start_age <= days(730)) AS opioids_treatments_730d,
    number(substance = 'cannabis' AND start_age <= days(730)) AS cannabis_treatments_730d,
    number(substance = 'stimulants' AND start_age <= days(730)) AS stimulants_treatments_730d,
    number(substance = 'sedatives' AND start_age <= days(730)) AS sedatives_treatments_730d,
    number(substance = 'other' AND start_age <= days(730)) AS other_substance_treatments_730d,
    number(dropped_out AND end_age <= days(365)) AS treatment_drop_outs_365d,
    number(dropped_out AND end_age <= days(730)) AS treatment_drop_outs_730d,
    number(dropped_out AND end_age <= days(1825)) AS treatment_drop_outs_1825d,
    share(treatment_drop_outs_1825d, number(end_age <= days(1825))) AS drop_out_share_1825d,
    is_latest(
        min(end_age) FILTER (dropped_out AND end_age <= days(1825)),
        min(end_age) FILTER (end_age <= days(1825))
    ) AS last_treatment_dropped_out_1825d,
    number(ended_in_hospital AND end_age <= days(730)) AS treatments_ended_in_hospital_730d
FROM compared
GROUP BY pid;

CREATE OR REPLACE TEMP TABLE of_treatment_spells AS
WITH marked AS (
    SELECT
        *,
        coalesce(
            start_age < min(until_age) OVER (earlier ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true
        ) AS opens
    FROM treatments
    WINDOW earlier AS (PARTITION BY pid ORDER BY start_age DESC, episode_id)
),
numbered AS (
    SELECT *, count(*) FILTER (opens) OVER (earlier ROWS UNBOUNDED PRECEDING) AS spell
    FROM marked
    WINDOW earlier AS (PARTITION BY pid ORDER BY start_age DESC, episode_id)
),
spells AS (
    SELECT pid, max(start_age) AS start_age, min(until_age) AS end_age
    FROM numbered
    GROUP BY pid, spell
)
SELECT
    pid,
    in_days(sum(inside(start_age, end_age, 365))) AS substance_treatment_days_365d,
    in_days(sum(inside(start_age, end_age, 730))) AS substance_treatment_days_730d,
    in_days(max(inside(start_age, end_age, 1825))) AS longest_substance_treatment_1825d,
    in_days(sum(inside_trend(start_age, end_age, 360))) AS substance_treatment_days_trend_360d,
    bool_or(is_part(start_age, end_age, 30)) AS substance_30d,
    bool_or(is_part(start_age, end_age, 90)) AS substance_90d
FROM spells
GROUP BY pid;
