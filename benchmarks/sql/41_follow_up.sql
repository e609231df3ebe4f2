-- Discharges from admissions, and the first community contact in the 30 days after each.
-- Needs stays (20), psychiatric_contacts (30), primary_care (40).

CREATE OR REPLACE TEMP TABLE of_discharges AS
WITH discharges AS (
    SELECT pid, end_age FROM stays WHERE is_admission AND end_age BETWEEN days(14) AND days(730)
),
community AS (
    SELECT pid, start_age FROM primary_care WHERE is_gp
    UNION ALL
    SELECT pid, start_age FROM psychiatric_contacts WHERE is_community AND start_age <= days(730)
),
contacted AS (
    SELECT discharges.pid, discharges.end_age, max(community.start_age) AS contact_age
    FROM community
    JOIN discharges
        ON community.pid = discharges.pid
        AND community.start_age <= discharges.end_age
        AND community.start_age > discharges.end_age - days(30)
    GROUP BY ALL
),
judged AS (
    SELECT
        pid,
        end_age,
        end_age >= days(30) AS due_30,
        coalesce(contact_age <= end_age - days(14), true) AS alone_14,
        contact_age IS NULL AND due_30 AS alone_30
    FROM discharges
    LEFT JOIN contacted USING (pid, end_age)
)
SELECT
    pid,
    number(alone_14 AND end_age <= days(180)) AS discharges_without_follow_up_180d,
    number(alone_14 AND end_age <= days(365)) AS discharges_without_follow_up_365d,
    number(alone_14) AS discharges_without_follow_up_730d,
    share(discharges_without_follow_up_365d, number(end_age <= days(365)))
        AS share_without_follow_up_365d,
    share(discharges_without_follow_up_730d, count(*)) AS share_without_follow_up_730d,
    number(alone_30 AND end_age <= days(365)) AS discharges_without_follow_up_in_30_days_365d,
    number(alone_30) AS discharges_without_follow_up_in_30_days_730d,
    share(discharges_without_follow_up_in_30_days_730d, number(due_30))
        AS share_without_follow_up_in_30_days_730d
FROM judged
GROUP BY pid;
