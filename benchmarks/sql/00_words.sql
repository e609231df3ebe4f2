-- The words the other files share. Time is an age: microseconds from the moment to the index, so that
-- the past is positive, and a window of d days holds the ages up to days(d).
-- Set before: index_time (timestamp) and store (folder).

CREATE OR REPLACE TEMP MACRO days(n) AS n * 86400000000;
CREATE OR REPLACE TEMP MACRO hours(n) AS n * 3600000000;
CREATE OR REPLACE TEMP MACRO in_days(microseconds) AS microseconds / 86400000000.0::DOUBLE;
CREATE OR REPLACE TEMP MACRO age(moment) AS epoch_us(getvariable('index_time')) - epoch_us(moment);
CREATE OR REPLACE TEMP MACRO file(name) AS getvariable('store') || '/bucket=*/' || name || '.parquet';

-- A row is seen if it began and was known before the index; what is learnt at its end, if it has ended.
CREATE OR REPLACE TEMP MACRO is_known(started_at, known_at) AS
    started_at < getvariable('index_time') AND coalesce(known_at, started_at) < getvariable('index_time');
CREATE OR REPLACE TEMP MACRO has_ended(ended_at) AS ended_at < getvariable('index_time');

-- The part of an interval inside a window, whether there is any, and the younger half minus the older.
-- Whole microseconds add up exactly as doubles, and faster than as integers.
CREATE OR REPLACE TEMP MACRO inside(start_age, end_age, days) AS
    greatest(least(start_age, days(days)) - coalesce(end_age, 0), 0)::DOUBLE;
CREATE OR REPLACE TEMP MACRO is_part(start_age, end_age, days) AS
    start_age <= days(days) OR coalesce(end_age, 0) < days(days);
CREATE OR REPLACE TEMP MACRO inside_trend(start_age, end_age, days) AS
    2 * inside(start_age, end_age, days // 2) - inside(start_age, end_age, days);
CREATE OR REPLACE TEMP MACRO trend(age, days) AS
    CASE WHEN age <= days(days // 2) THEN 1 WHEN age <= days(days) THEN -1 ELSE 0 END;

-- What an event counts for when it is halved every 100 days: 24 binary digits between exact halvings.
CREATE OR REPLACE TEMP MACRO decayed(age) AS
    round(pow(0.5, (age % 8640000000000) / 8640000000000.0::DOUBLE) * 16777216) / 16777216
        * pow(0.5, age // 8640000000000);

-- Shares and the Bice-Boxerman index are null where there is nothing to divide by.
CREATE OR REPLACE TEMP MACRO share(part, whole) AS part / nullif(whole, 0)::DOUBLE;
CREATE OR REPLACE TEMP MACRO bice_boxerman(squares, total) AS
    CASE WHEN total > 1 THEN (squares - total) / (total * (total - 1))::DOUBLE END;

-- Unevenness of n gaps from their sum and the sum of their squares: (s - m) / (s + m), with the mean m
-- and the population deviation s, from s / m.
CREATE OR REPLACE TEMP MACRO relative_deviation(n, total, squares) AS
    sqrt((n * squares - total * total) / (total * total)::DOUBLE);
CREATE OR REPLACE TEMP MACRO burstiness(n, total, squares) AS
    CASE WHEN n > 1 AND squares > 0
        THEN (relative_deviation(n, total, squares) - 1) / (relative_deviation(n, total, squares) + 1)
    END;

-- Entropy of shares from the sum of n ln n and the sum of n, rounded to nine decimals.
CREATE OR REPLACE TEMP MACRO n_log_n(n) AS CASE WHEN n > 1 THEN n * ln(n) ELSE 0 END;
CREATE OR REPLACE TEMP MACRO entropy_of(weighted, total) AS
    CASE WHEN total > 0 THEN round(ln(total) - weighted / total, 9) END;

-- How many rows a condition holds for.
CREATE OR REPLACE TEMP MACRO number(condition) AS count(*) FILTER (condition)::INTEGER;

-- Whether the latest event is of a kind, from the age of the latest of that kind and of the latest of all.
CREATE OR REPLACE TEMP MACRO is_latest(age_of_kind, age_of_all) AS
    CASE WHEN age_of_all IS NOT NULL THEN coalesce(age_of_kind = age_of_all, false) END;
