-- Hospitals and departments: one row per person and department first, then one per person.
-- A contact without a department belongs to none; an unknown hospital is one of its own.

CREATE OR REPLACE TEMP TABLE of_departments AS
WITH visits AS (
    SELECT
        pid,
        hospital,
        department,
        number(start_age <= days(90)) AS n_90,
        number(start_age <= days(365)) AS n_365,
        number(start_age <= days(730)) AS n_730,
        max(start_age) AS first_age
    FROM contacts
    WHERE department IS NOT NULL
    GROUP BY pid, hospital, department
),
compared AS (
    SELECT *, max(first_age) OVER (PARTITION BY pid) AS first_of_any FROM visits
)
SELECT
    pid,
    number(n_90 > 0) AS departments_90d,
    number(n_365 > 0) AS departments_365d,
    number(n_730 > 0) AS departments_730d,
    bice_boxerman(sum(n_365 * n_365), sum(n_365)) AS department_continuity_365d,
    bice_boxerman(sum(n_730 * n_730), sum(n_730)) AS department_continuity_730d,
    entropy_of(sum(n_log_n(n_365)), sum(n_365)) AS department_entropy_365d,
    entropy_of(sum(n_log_n(n_730)), sum(n_730)) AS department_entropy_730d,
    share(max(n_365), sum(n_365)) AS department_concentration_365d,
    share(max(n_730), sum(n_730)) AS department_concentration_730d,
    number(first_age <= days(90) AND first_age < first_of_any) AS new_departments_90d,
    number(first_age <= days(365) AND first_age < first_of_any) AS new_departments_365d
FROM compared
GROUP BY pid;

CREATE OR REPLACE TEMP TABLE of_hospitals AS
SELECT
    pid,
    count(DISTINCT hospital) FILTER (start_age <= days(365))::INTEGER AS hospitals_365d,
    count(DISTINCT hospital)::INTEGER AS hospitals_730d
FROM contacts
WHERE start_age <= days(730)
GROUP BY pid;

-- Of the contacts that follow another within the window, those in the same department.
CREATE OR REPLACE TEMP TABLE of_department_pairs AS
WITH pairs AS (
    SELECT
        pid,
        (hospital, department) IS NOT DISTINCT FROM lag((hospital, department)) OVER earlier AS is_same,
        row_number() OVER earlier > 1 AS follows
    FROM contacts
    WHERE department IS NOT NULL AND start_age <= days(730)
    WINDOW earlier AS (PARTITION BY pid ORDER BY start_age DESC, contact_id)
)
SELECT pid, avg(is_same::INTEGER) AS department_sequence_730d
FROM pairs
WHERE follows
GROUP BY pid;
