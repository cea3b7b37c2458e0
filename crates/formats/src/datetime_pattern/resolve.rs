//! The fields of a text, together: Java's strict resolution with Spark's defaults.

use super::compile::Field;
use super::{Misfit, Parsed};
use crate::calendar::{civil_from_days, day_of_year, days_from_civil, days_in_month, is_leap};
use crate::zone::Zone;

/// The fields that a text has given so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    values: [Option<i64>; 19],
    pub(super) zone: Option<Zone>,
}

impl Fields {
    /// Sets a field. Two different values for one do not fit.
    pub(super) fn set(&mut self, field: Field, value: i64) -> Result<(), ()> {
        let slot = &mut self.values[field as usize];
        if slot.is_some_and(|old| old != value) {
            return Err(());
        }
        *slot = Some(value);
        Ok(())
    }

    fn get(&self, field: Field) -> Option<i64> {
        self.values[field as usize]
    }

    fn checked(&self, field: Field, name: &str, low: i64, high: i64) -> Result<Option<i64>, Misfit> {
        match self.get(field) {
            Some(v) if !(low..=high).contains(&v) => {
                Err(Misfit::Invalid(format!("Invalid value for {name} (valid values {low} - {high}): {v}")))
            }
            v => Ok(v),
        }
    }

    pub(super) fn resolve(&self) -> Result<Parsed, Misfit> {
        let days = self.days()?;
        let nanos = self.nanos()?;
        let zone = match (&self.zone, self.checked(Field::OffsetSeconds, "OffsetSeconds", -64_800, 64_800)?) {
            (Some(zone), _) => Some(zone.clone()),
            (None, Some(seconds)) => Some(Zone::offset(seconds as i32)),
            (None, None) => None,
        };
        Ok(Parsed { days, nanos, zone })
    }

    fn year(&self) -> Result<i64, Misfit> {
        let era = self.get(Field::Era).unwrap_or(1);
        if let Some(year) = self.checked(Field::YearOfEra, "YearOfEra", 1, 999_999_999)? {
            return Ok(if era == 0 { 1 - year } else { year });
        }
        Ok(self.checked(Field::Year, "Year", -999_999_999, 999_999_999)?.unwrap_or(1970))
    }

    fn days(&self) -> Result<i64, Misfit> {
        let year = self.year()?;
        let month = self.checked(Field::Month, "MonthOfYear", 1, 12)?;
        let day = match self.get(Field::DayOfMonth) {
            Some(v) if !(1..=31).contains(&v) => {
                return Err(Misfit::Invalid(format!(
                    "Invalid value for DayOfMonth (valid values 1 - 28/31): {v}"
                )));
            }
            v => v,
        };
        let nth_day = match self.get(Field::DayOfYear) {
            Some(v) if !(1..=366).contains(&v) => {
                return Err(Misfit::Invalid(format!(
                    "Invalid value for DayOfYear (valid values 1 - 365/366): {v}"
                )));
            }
            v => v,
        };
        if let Some(day) = self.get(Field::ModifiedJulianDay) {
            return Ok(day - 40_587);
        }
        // With a year and a whole date Java finds the day; with less Spark does, and words its errors itself.
        let has_year = self.get(Field::Year).or(self.get(Field::YearOfEra)).is_some();
        let by_java = has_year && (nth_day.is_some() || (month.is_some() && day.is_some()));
        let invalid = |why: String| if by_java { Misfit::Invalid(why) } else { Misfit::Unresolved(why) };
        match (month, day, nth_day) {
            (Some(month), Some(day), Some(nth)) if by_java => {
                let days = days_of(year, month, day).map_err(invalid)?;
                let derived = day_of_year(days);
                if derived != nth {
                    return Err(conflict("DayOfYear", derived, nth, days));
                }
                Ok(days)
            }
            (month, day, Some(nth)) => {
                if nth == 366 && !is_leap(year) {
                    return Err(invalid(format!(
                        "Invalid date 'DayOfYear 366' as '{year}' is not a leap year"
                    )));
                }
                let days = days_from_civil(year, 1, 1) + nth - 1;
                let (_, derived_month, derived_day) = civil_from_days(days);
                for (name, given, derived) in
                    [("MonthOfYear", month, derived_month), ("DayOfMonth", day, derived_day)]
                {
                    let derived = i64::from(derived);
                    match given {
                        Some(given) if given != derived && by_java => {
                            return Err(conflict(name, derived, given, days));
                        }
                        Some(given) if given != derived => {
                            return Err(match conflict(name, given, derived, days) {
                                Misfit::Invalid(why) => Misfit::Unresolved(why + "."),
                                other => other,
                            });
                        }
                        _ => {}
                    }
                }
                Ok(days)
            }
            (month, day, None) => days_of(year, month.unwrap_or(1), day.unwrap_or(1)).map_err(invalid),
        }
    }

    fn hour(&self) -> Result<i64, Misfit> {
        let am_pm = self.get(Field::AmPm);
        let hour_of_day = self.checked(Field::HourOfDay, "HourOfDay", 0, 23)?;
        let clock_hour = self.checked(Field::ClockHourOfDay, "ClockHourOfDay", 1, 24)?.map(|h| h % 24);
        let half = self.checked(Field::HourOfAmPm, "HourOfAmPm", 0, 11)?;
        let clock_half = self.checked(Field::ClockHourOfAmPm, "ClockHourOfAmPm", 1, 12)?.map(|h| h % 12);
        let whole = hour_of_day.or(clock_hour);
        let half = half.or(clock_half);
        Ok(match (whole, half) {
            (Some(hour), _) => {
                if let Some(given) = am_pm
                    && given != hour / 12
                {
                    return Err(Misfit::Invalid(format!(
                        "Conflict found: Field AmPmOfDay {} differs from AmPmOfDay {given} derived from {hour:02}:00",
                        hour / 12
                    )));
                }
                hour
            }
            (None, Some(half)) => am_pm.unwrap_or(0) * 12 + half,
            (None, None) => am_pm.unwrap_or(0) * 12,
        })
    }

    fn nanos(&self) -> Result<i64, Misfit> {
        let hour = self.hour()?;
        let minute = self.checked(Field::Minute, "MinuteOfHour", 0, 59)?.unwrap_or(0);
        let second = self.checked(Field::Second, "SecondOfMinute", 0, 59)?.unwrap_or(0);
        let nano = self.get(Field::Nano).unwrap_or(0);
        Ok(((hour * 60 + minute) * 60 + second) * 1_000_000_000 + nano)
    }
}

/// The day, or what Java says where there is none.
fn days_of(year: i64, month: i64, day: i64) -> Result<i64, String> {
    let (month, day) = (month as u32, day as u32);
    if day <= days_in_month(year, month) {
        return Ok(days_from_civil(year, month, day));
    }
    Err(if day == 29 {
        format!("Invalid date 'February 29' as '{year}' is not a leap year")
    } else {
        let name = super::format::MONTHS[month as usize - 1].to_uppercase();
        format!("Invalid date '{name} {day}'")
    })
}

fn conflict(field: &str, value: i64, other: i64, days: i64) -> Misfit {
    let (y, m, d) = civil_from_days(days);
    Misfit::Invalid(format!(
        "Conflict found: Field {field} {value} differs from {field} {other} derived from {y:04}-{m:02}-{d:02}"
    ))
}
