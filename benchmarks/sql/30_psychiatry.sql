-- Psychiatric contacts outside the ward. A null end means that the contact ended as it started.

CREATE OR REPLACE TEMP TABLE psychiatric_contacts AS
SELECT
    pid,
    contact_id,
    age(started_at) AS start_age,
    CASE WHEN has_ended(coalesce(ended_at, started_at)) THEN age(coalesce(ended_at, started_at)) END
        AS end_age,
    contact_type,
    end_age IS NOT NULL AND attendance IN ('attended', 'unknown') AS is_attended,
    end_age IS NOT NULL AND attendance = 'no_show' AS is_no_show,
    end_age IS NOT NULL AND attendance = 'cancelled' AS is_cancelled,
    is_attended AND contact_type IN ('outpatient', 'home_visit', 'virtual') AS is_community,
    CASE WHEN end_age IS NOT NULL THEN diagnosis END AS diagnosis,
    provider
FROM read_parquet(file('psychiatric_contacts'), hive_partitioning = false)
JOIN cohort USING (person_id)
WHERE is_known(started_at, known_at);

-- Of the contacts that were kept or missed: whether the one before was missed.
CREATE OR REPLACE TEMP TABLE of_psychiatric_contacts AS
WITH followed AS (
    SELECT
        *,
        is_attended OR is_no_show AS is_kept_or_missed,
        is_kept_or_missed AND lag(is_no_show) OVER earlier AS after_no_show
    FROM psychiatric_contacts
    WINDOW earlier AS (PARTITION BY pid, is_attended OR is_no_show ORDER BY start_age DESC, contact_id)
)
SELECT
    pid,
    number(contact_type = 'outpatient' AND is_attended AND start_age <= days(90))
        AS psychiatric_outpatient_contacts_90d,
    number(contact_type = 'outpatient' AND is_attended AND start_age <= days(365))
        AS psychiatric_outpatient_contacts_365d,
    number(contact_type = 'outpatient' AND is_attended AND start_age <= days(730))
        AS psychiatric_outpatient_contacts_730d,
    number(contact_type = 'emergency' AND start_age <= days(90)) AS psychiatric_emergency_contacts_90d,
    number(contact_type = 'emergency' AND start_age <= days(365)) AS psychiatric_emergency_contacts_365d,
    number(contact_type = 'emergency' AND start_age <= days(730)) AS psychiatric_emergency_contacts_730d,
    number(contact_type = 'home_visit' AND is_attended AND start_age <= days(365))
        AS psychiatric_home_visits_365d,
    number(contact_type = 'virtual' AND is_attended AND start_age <= days(365))
        AS psychiatric_virtual_contacts_365d,
    number(is_no_show AND start_age <= days(90)) AS psychiatric_no_shows_90d,
    number(is_no_show AND start_age <= days(365)) AS psychiatric_no_shows_365d,
    number(is_no_show AND start_age <= days(730)) AS psychiatric_no_shows_730d,
    share(psychiatric_no_shows_365d, number(is_kept_or_missed AND start_age <= days(365)))
        AS psychiatric_no_show_share_365d,
    share(psychiatric_no_shows_730d, number(is_kept_or_missed AND start_age <= days(730)))
        AS psychiatric_no_show_share_730d,
    in_days(min(start_age) FILTER (is_attended AND start_age <= days(730)))
        AS days_since_psychiatric_contact_730d,
    sum(trend(start_age, 360)) FILTER (is_attended) AS psychiatric_contacts_trend_360d,
    sum(decayed(start_age)) FILTER (is_no_show AND start_age <= days(730))
        AS psychiatric_no_shows_decayed_730d,
    number(is_no_show AND after_no_show AND start_age <= days(365)) AS psychiatric_no_shows_in_a_row_365d,
    is_latest(
        min(start_age) FILTER (is_no_show AND start_age <= days(365)),
        min(start_age) FILTER (is_kept_or_missed AND start_age <= days(365))
    ) AS last_psychiatric_appointment_missed_365d,
    in_days(min(start_age) FILTER (is_no_show AND start_age <= days(730)))
        AS days_since_psychiatric_no_show_730d,
    number(is_cancelled AND start_age <= days(365)) AS psychiatric_cancellations_365d,
    bool_or(is_attended AND is_part(start_age, end_age, 30)) AS contact_psychiatric_30d,
    bool_or(is_attended AND is_part(start_age, end_age, 90)) AS contact_psychiatric_90d
FROM followed
GROUP BY pid;

CREATE OR REPLACE TEMP TABLE of_psychiatric_providers AS
WITH visits AS (
    SELECT
        pid,
        number(start_age <= days(365)) AS n_365,
        number(is_attended AND start_age <= days(730)) AS attended_730,
        max(start_age) AS first_age
    FROM psychiatric_contacts
    WHERE provider IS NOT NULL
    GROUP BY pid, provider
),
compared AS (
    SELECT *, max(first_age) OVER (PARTITION BY pid) AS first_of_any FROM visits
)
SELECT
    pid,
    number(n_365 > 0) AS psychiatric_providers_365d,
    bice_boxerman(sum(attended_730 * attended_730), sum(attended_730))
        AS psychiatric_provider_continuity_730d,
    number(first_age <= days(30) AND first_age < first_of_any) AS new_psychiatric_providers_30d,
    number(first_age <= days(90) AND first_age < first_of_any) AS new_psychiatric_providers_90d,
    number(first_age <= days(365) AND first_age < first_of_any) AS new_psychiatric_providers_365d
FROM compared
GROUP BY pid;
