-- Diagnoses of hospital contacts (main and further) and of psychiatric contacts, by group of codes.
-- Needs psychiatric_contacts (30).

-- Each code is looked at once. Codes of no group are left out.
CREATE OR REPLACE TEMP TABLE code_groups AS
WITH codes AS (
    SELECT DISTINCT diagnosis AS code FROM contacts
    UNION
    SELECT DISTINCT code FROM read_parquet(file('diagnoses'), hive_partitioning = false)
    UNION
    SELECT DISTINCT diagnosis FROM psychiatric_contacts
),
grouped AS (
    SELECT
        code,
        regexp_matches(
            code, '^(E244|F10|G312|G621|G721|I426|K292|K70|K852|K860|R780|X45|X65|Y15|T51|Z502|Z714|Z721)'
        ) AS alcohol,
        regexp_matches(code, '^(F11|F12|F13|F14|F15|F16|F18|F19|T40|T436|Z503|Z715|Z722)') AS drugs,
        regexp_matches(code, '^(X6|X7|X80|X81|X82|X83|X84)') AS self_harm,
        regexp_matches(code, '^(S|T)[0-9]') AS injury_poisoning,
        regexp_matches(code, '^F2') AS psychosis,
        regexp_matches(code, '^F3') AS affective,
        regexp_matches(code, '^(F40|F41)') AS anxiety,
        regexp_matches(code, '^(F60|F61)') AS personality,
        regexp_matches(code, '^(E10|E11|E12|E13|E14)') AS diabetes,
        regexp_matches(code, '^(J43|J44)') AS copd,
        regexp_matches(code, '^(I099|I110|I130|I132|I255|I420|I425|I426|I427|I428|I429|I43|I50|P290)')
            AS heart_failure,
        regexp_matches(code, '^(I120|I131|N18|N19|N250|Z490|Z491|Z492|Z940|Z992)') AS renal,
        regexp_matches(
            code,
            '^(B18|I85|I864|I982|K70|K71[13457]|K72|K73|K74|K76[02-9]|Z944)'
        ) AS liver,
        regexp_matches(code, '^(G40|G41)') AS epilepsy,
        regexp_matches(code, '^(F00|F01|F02|F03|F051|G30|G311)') AS dementia,
        regexp_matches(code, '^(Z590|Z591)') AS homelessness
    FROM codes
    WHERE code IS NOT NULL
)
SELECT *, alcohol OR drugs OR self_harm OR injury_poisoning AS is_counted
FROM grouped
WHERE is_counted OR psychosis OR affective OR anxiety OR personality OR diabetes OR copd OR heart_failure
    OR renal OR liver OR epilepsy OR dementia OR homelessness;

CREATE OR REPLACE TEMP TABLE diagnosed AS
SELECT pid, contact_id, start_age, diagnosis AS code, true AS is_hospital
FROM contacts
WHERE start_age <= days(1825) AND diagnosis IN (SELECT code FROM code_groups)
UNION ALL
SELECT pid, contact_id, age(started_at), code, NULL
FROM read_parquet(file('diagnoses'), hive_partitioning = false)
JOIN cohort USING (person_id)
WHERE is_known(started_at, known_at) AND has_ended(ended_at) AND age(started_at) <= days(1825)
    AND code IN (SELECT code FROM code_groups)
UNION ALL
SELECT pid, contact_id, start_age, diagnosis, false
FROM psychiatric_contacts
WHERE start_age <= days(1825) AND diagnosis IN (SELECT code FROM code_groups);

CREATE OR REPLACE TEMP TABLE of_diagnoses AS
SELECT
    pid,
    max(start_age) FILTER (alcohol) AS alcohol,
    max(start_age) FILTER (drugs) AS drugs,
    max(start_age) FILTER (self_harm) AS self_harm,
    max(start_age) FILTER (psychosis) AS psychosis,
    max(start_age) FILTER (affective) AS affective,
    max(start_age) FILTER (anxiety) AS anxiety,
    max(start_age) FILTER (personality) AS personality,
    max(start_age) FILTER (diabetes) AS diabetes,
    max(start_age) FILTER (copd) AS copd,
    max(start_age) FILTER (heart_failure) AS heart_failure,
    max(start_age) FILTER (renal) AS renal,
    max(start_age) FILTER (liver) AS liver,
    max(start_age) FILTER (epilepsy) AS epilepsy,
    max(start_age) FILTER (dementia) AS dementia,
    coalesce(bool_or(injury_poisoning), false) AS injury_poisoning_diagnosis_1825d,
    coalesce(bool_or(homelessness AND start_age <= days(730)), false) AS homeless_diagnosis_730d
FROM diagnosed
JOIN code_groups USING (code)
GROUP BY pid;

-- A further diagnosis counts as a hospital's if its contact is known. A contact counts once.
CREATE OR REPLACE TEMP TABLE of_diagnosed_contacts AS
WITH counted AS (
    SELECT pid, contact_id, start_age, is_hospital, alcohol, drugs, self_harm, injury_poisoning
    FROM diagnosed
    JOIN code_groups USING (code)
    WHERE is_counted AND is_hospital IS NOT false
),
in_hospital AS (
    SELECT * FROM counted WHERE is_hospital
    UNION ALL
    SELECT * FROM counted WHERE is_hospital IS NULL
        AND EXISTS (
            FROM contacts WHERE contacts.pid = counted.pid AND contacts.contact_id = counted.contact_id
        )
),
once AS (
    SELECT
        pid,
        min(start_age) FILTER (alcohol) AS alcohol,
        min(start_age) FILTER (drugs) AS drugs,
        min(start_age) FILTER (self_harm) AS self_harm,
        min(start_age) FILTER (injury_poisoning) AS injury_poisoning
    FROM in_hospital
    GROUP BY pid, contact_id
)
SELECT
    pid,
    number(alcohol <= days(90)) AS alcohol_contacts_90d,
    number(alcohol <= days(365)) AS alcohol_contacts_365d,
    number(alcohol <= days(730)) AS alcohol_contacts_730d,
    number(drugs <= days(90)) AS drug_contacts_90d,
    number(drugs <= days(365)) AS drug_contacts_365d,
    number(drugs <= days(730)) AS drug_contacts_730d,
    in_days(min(alcohol)) AS days_since_alcohol_contact_1825d,
    in_days(min(drugs)) AS days_since_drug_contact_1825d,
    number(self_harm <= days(365)) AS self_harm_contacts_365d,
    number(self_harm <= days(730)) AS self_harm_contacts_730d,
    number(injury_poisoning <= days(365)) AS injury_poisoning_contacts_365d,
    number(injury_poisoning <= days(730)) AS injury_poisoning_contacts_730d
FROM once
GROUP BY pid;
