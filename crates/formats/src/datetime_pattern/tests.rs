//! Expected values were printed by Spark 4.2 (`date_format`, `to_timestamp`, `to_date`).

use super::*;

const US: i64 = 1_709_687_289_123_456; // 2024-03-05 17:08:09.123456 in Los Angeles

fn los_angeles() -> Zone {
    Zone::parse("America/Los_Angeles").unwrap()
}

fn show(pattern: &str) -> String {
    Pattern::for_formatting(pattern).unwrap().format_micros(US, &los_angeles()).unwrap()
}

#[test]
fn letters_write_as_in_spark() {
    for (pattern, expected) in [
        ("yyyy-MM-dd HH:mm:ss.SSSSSS", "2024-03-05 17:08:09.123456"),
        ("y M d H m s S", "2024 3 5 17 8 9 1"),
        ("yy MM dd hh mm ss a", "24 03 05 05 08 09 PM"),
        ("yyy L LL LLL LLLL", "2024 3 03 Mar March"),
        ("yyyyy", "02024"),
        ("yyyyyy G GGGG", "002024 AD Anno Domini"),
        ("MMM MMMM E EE EEE EEEE", "Mar March Tue Tue Tue Tuesday"),
        ("D DD DDD", "65 65 065"),
        ("F", "5"),
        ("Q QQ QQQ QQQQ q qq qqq qqqq", "1 01 Q1 1st quarter 1 01 Q1 1st quarter"),
        ("k kk K KK h hh", "17 17 5 05 5 05"),
        ("SSSSSSSSS", "123456000"),
        ("VV z zz zzz zzzz", "America/Los_Angeles PST PST PST Pacific Standard Time"),
        ("O OOOO", "GMT-8 GMT-08:00"),
        ("X XX XXX XXXX XXXXX", "-08 -0800 -08:00 -0800 -08:00"),
        ("x xx xxx xxxx xxxxx", "-08 -0800 -08:00 -0800 -08:00"),
        ("Z ZZ ZZZ ZZZZ ZZZZZ", "-0800 -0800 -0800 GMT-08:00 -08:00"),
        ("''yyyy", "'2024"),
        ("yyyy[ HH[:mm]]", "2024 17:08"),
        ("[yyyy", "2024"),
        ("g", "60374"),
        ("v vvvv", "PT Pacific Time"),
        ("é中%$&*!@^~`|;:,.<>/?-_=+()\"", "é中%$&*!@^~`|;:,.<>/?-_=+()\""),
    ] {
        assert_eq!(show(pattern), expected, "{pattern}");
    }
}

#[test]
fn zones_write_as_in_spark() {
    let pattern = Pattern::for_formatting("VV|z|zzzz|O|OOOO|X|XXX").unwrap();
    for (zone, summer, expected) in [
        ("UTC", false, "UTC|UTC|Coordinated Universal Time|GMT|GMT|Z|Z"),
        ("+05:30", false, "+05:30|+05:30|+05:30|GMT+5:30|GMT+05:30|+0530|+05:30"),
        ("GMT+8", false, "GMT+08:00|GMT+08:00|GMT+08:00|GMT+8|GMT+08:00|+08|+08:00"),
        ("Europe/Paris", true, "Europe/Paris|CEST|Central European Summer Time|GMT+2|GMT+02:00|+02|+02:00"),
        ("Asia/Kathmandu", true, "Asia/Kathmandu|NPT|Nepal Time|GMT+5:45|GMT+05:45|+0545|+05:45"),
        (
            "America/Sao_Paulo",
            false,
            "America/Sao_Paulo|BRT|Brasilia Standard Time|GMT-3|GMT-03:00|-03|-03:00",
        ),
        ("-08:00:30", false, "-08:00:30|-08:00:30|-08:00:30|GMT-8:00:30|GMT-08:00:30|-08|-08:00"),
        ("Etc/GMT-3", false, "Etc/GMT-3|GMT+03:00|GMT+03:00|GMT+3|GMT+03:00|+03|+03:00"),
    ] {
        let us = if summer { 1_720_199_289_000_000 } else { 1_704_474_489_000_000 };
        assert_eq!(pattern.format_micros(us, &Zone::parse(zone).unwrap()).unwrap(), expected);
    }
}

#[test]
fn years_beyond_four_digits() {
    let zone = Zone::UTC;
    let at = |y| crate::calendar::days_from_civil(y, 7, 5) * MICROS_PER_DAY;
    let show = |y, p| Pattern::for_formatting(p).unwrap().format_micros(at(y), &zone).unwrap();
    assert_eq!(show(12024, "yyyy yy y yyyyy"), "+12024 24 12024 12024");
    assert_eq!(show(-44, "yyyy yy y yyyyy G"), "0045 45 45 00045 BC");
    assert_eq!(show(-44, "yyyy"), "-0044");
}

#[test]
fn refused_patterns_have_sparks_classes() {
    let recognition = "INCONSISTENT_BEHAVIOR_CROSS_VERSION.DATETIME_PATTERN_RECOGNITION";
    let suggestion = "INVALID_DATETIME_PATTERN.WITH_SUGGESTION";
    for (pattern, class) in [
        ("Y", recognition),
        ("w", recognition),
        ("u", recognition),
        ("e", "INCONSISTENT_BEHAVIOR_CROSS_VERSION.DATETIME_WEEK_BASED_PATTERN"),
        ("c", "INCONSISTENT_BEHAVIOR_CROSS_VERSION.DATETIME_WEEK_BASED_PATTERN"),
        ("A", "INVALID_DATETIME_PATTERN.ILLEGAL_CHARACTER"),
        ("p", "INVALID_DATETIME_PATTERN.ILLEGAL_CHARACTER"),
        ("MMMMM", recognition),
        ("EEEEE", recognition),
        ("QQQQQ", "INVALID_DATETIME_PATTERN.LENGTH"),
        ("yyyyyyyyyy", recognition),
        ("ddd", recognition),
        ("DDDD", recognition),
        ("aa", recognition),
        ("T", suggestion),
        ("yyyy-MM-ddTHH", suggestion),
        ("'unclosed", suggestion),
        ("yyyy]", recognition),
        ("{", recognition),
        ("#", recognition),
        ("SSSSSSSSSS", recognition),
        ("V", suggestion),
        ("OO", suggestion),
        ("XXXXXX", suggestion),
        ("HHH", recognition),
        ("b", suggestion),
        ("FF", recognition),
        ("zzzzz", recognition),
    ] {
        assert_eq!(
            Pattern::for_formatting(pattern).map_err(|e| e.class().to_string()).err().as_deref(),
            Some(class),
            "{pattern}"
        );
    }
    assert_eq!(
        Pattern::for_parsing("EEE yyyy").err().map(|e| e.class().to_string()).as_deref(),
        Some(recognition)
    );
    assert!(Pattern::for_parsing("yyyy-'Q'Q").is_err());
}

/// (text, pattern, what Spark gave in UTC for a session in Los Angeles)
const READ: &[(&str, &str, &str)] = &[
    ("2024-01-31", "yyyy-MM-dd", "2024-01-31 08:00:00"),
    ("2024-1-3", "yyyy-M-d", "2024-01-03 08:00:00"),
    ("20240131", "yyyyMMdd", "2024-01-31 08:00:00"),
    ("20240131123456", "yyyyMMddHHmmss", "2024-01-31 20:34:56"),
    ("20240131123456.789", "yyyyMMddHHmmss.SSS", "2024-01-31 20:34:56.789000"),
    ("2024-01-31 12:34:56.7", "yyyy-MM-dd HH:mm:ss.SSS", "2024-01-31 20:34:56.700000"),
    ("24-01-31", "yy-MM-dd", "2024-01-31 08:00:00"),
    ("99-01-31", "yy-MM-dd", "2099-01-31 08:00:00"),
    ("12:34", "HH:mm", "1970-01-01 20:34:00"),
    ("1:34 PM", "h:mm a", "1970-01-01 21:34:00"),
    ("01:34 pm", "hh:mm a", "1970-01-01 21:34:00"),
    ("13:34 PM", "HH:mm a", "1970-01-01 21:34:00"),
    ("12", "hh", "1970-01-01 08:00:00"),
    ("24", "kk", "1970-01-01 08:00:00"),
    ("2024-05", "yyyy-MM", "2024-05-01 07:00:00"),
    ("JAN 5 2024", "MMM d yyyy", "2024-01-05 08:00:00"),
    ("may 5 2024", "MMMM d yyyy", "2024-05-05 07:00:00"),
    ("2024-032", "yyyy-DDD", "2024-02-01 08:00:00"),
    ("2024-1", "yyyy-D", "2024-01-01 08:00:00"),
    ("32", "D", "1970-02-01 08:00:00"),
    ("2024-02-01 032", "yyyy-MM-dd DDD", "2024-02-01 08:00:00"),
    ("2024-01-31T12:34:56Z", "yyyy-MM-dd'T'HH:mm:ssX", "2024-01-31 12:34:56"),
    ("2024-01-31T12:34:56+01", "yyyy-MM-dd'T'HH:mm:ssX", "2024-01-31 11:34:56"),
    ("2024-01-31T12:34:56+0100", "yyyy-MM-dd'T'HH:mm:ssX", "2024-01-31 11:34:56"),
    ("2024-01-31T12:34:56z", "yyyy-MM-dd'T'HH:mm:ssXXX", "2024-01-31 12:34:56"),
    ("2024-01-31T12:34:56+01:00:30", "yyyy-MM-dd'T'HH:mm:ssXXXXX", "2024-01-31 11:34:26"),
    ("2024-01-31T12:34:56+0000", "yyyy-MM-dd'T'HH:mm:ssZ", "2024-01-31 12:34:56"),
    ("2024-01-31T12:34:56GMT-08:00", "yyyy-MM-dd'T'HH:mm:ssZZZZ", "2024-01-31 20:34:56"),
    ("2024-01-31T12:34:56GMT-8", "yyyy-MM-dd'T'HH:mm:ssO", "2024-01-31 20:34:56"),
    ("2024-01-31 12:34:56 europe/paris", "yyyy-MM-dd HH:mm:ss VV", "2024-01-31 11:34:56"),
    ("2024-01-31 12:34:56 Z", "yyyy-MM-dd HH:mm:ss VV", "2024-01-31 12:34:56"),
    ("2024-01-31 12:34:56 UTC+01:00", "yyyy-MM-dd HH:mm:ss VV", "2024-01-31 11:34:56"),
    ("2024-01-31 12:34:56 PDT", "yyyy-MM-dd HH:mm:ss z", "2024-01-31 20:34:56"),
    ("2024-01-31 12:34:56 EST", "yyyy-MM-dd HH:mm:ss z", "2024-01-31 17:34:56"),
    ("2024-01-31 12:34:56 IST", "yyyy-MM-dd HH:mm:ss z", "2024-01-31 12:34:56"),
    ("2024-01-31 12:34:56 BST", "yyyy-MM-dd HH:mm:ss z", "2024-01-31 01:34:56"),
    ("2024-01-31 12:34:56 MST", "yyyy-MM-dd HH:mm:ss z", "2024-01-31 19:34:56"),
    ("2024-01-31 12:34:56 Pacific Standard Time", "yyyy-MM-dd HH:mm:ss zzzz", "2024-01-31 20:34:56"),
    ("2024-01-31 12:34:56 +01:00", "yyyy-MM-dd HH:mm:ss z", "2024-01-31 11:34:56"),
    ("2024-03-10 02:30:00", "yyyy-MM-dd HH:mm:ss", "2024-03-10 10:30:00"),
    ("2024-11-03 01:30:00", "yyyy-MM-dd HH:mm:ss", "2024-11-03 08:30:00"),
    ("2024-01-31", "yyyy-MM-dd[ HH:mm:ss]", "2024-01-31 08:00:00"),
    ("2024-01-31 12:13:14", "yyyy-MM-dd[ HH:mm:ss]", "2024-01-31 20:13:14"),
    ("2024 ad", "yyyy G", "2024-01-01 08:00:00"),
    ("2024/1/2 3:4:5", "y/M/d H:m:s", "2024-01-02 11:04:05"),
    ("PM", "a", "1970-01-01 20:00:00"),
    ("123", "SSS", "1970-01-01 08:00:00.123000"),
    ("10:20:30.1234567", "HH:mm:ss.SSSSSSS", "1970-01-01 18:20:30.123456"),
    ("2024-01-31 AT 5", "yyyy-MM-dd 'at' H", "2024-01-31 13:00:00"),
    ("123456", "HHmmss", "1970-01-01 20:34:56"),
    ("1234567", "HHmmssS", "1970-01-01 20:34:56.700000"),
    ("12345678", "HHmmssSS", "1970-01-01 20:34:56.780000"),
];

#[test]
fn texts_read_as_in_spark() {
    let out = Pattern::for_formatting("yyyy-MM-dd HH:mm:ss.SSSSSS").unwrap();
    for (text, pattern, expected) in READ {
        let got = Pattern::for_parsing(pattern).unwrap().parse_to_micros(text, &los_angeles());
        let got = got.map(|us| out.format_micros(us, &Zone::UTC).unwrap());
        let got = got.map(|t| t.strip_suffix(".000000").unwrap_or(&t).to_string());
        assert_eq!(got.as_deref(), Ok(*expected), "{text} by {pattern}");
    }
}

#[test]
fn misfits_say_where_as_spark_does() {
    for (text, pattern, message) in [
        ("2024-1-3", "yyyy-MM-dd", "could not be parsed at index 5"),
        ("2024-01-3 ", "yyyy-MM-d", "could not be parsed, unparsed text found at index 9"),
        ("20240131123456789", "yyyyMMddHHmmssSSS", "could not be parsed at index 0"),
        ("2024-01-31 12:34:56.", "yyyy-MM-dd HH:mm:ss.SSS", "could not be parsed at index 20"),
        ("2024-02-30", "yyyy-MM-dd", "could not be parsed: Invalid date 'FEBRUARY 30'"),
        (
            "2024-13-01",
            "yyyy-MM-dd",
            "could not be parsed: Invalid value for MonthOfYear (valid values 1 - 12): 13",
        ),
        ("1999-01-31", "yy-MM-dd", "could not be parsed at index 2"),
        ("12024-01-31", "yyyy-MM-dd", "could not be parsed at index 0"),
        ("24", "HH", "could not be parsed: Invalid value for HourOfDay (valid values 0 - 23): 24"),
        ("0", "kk", "could not be parsed at index 0"),
        ("January 5 2024", "MMM d yyyy", "could not be parsed at index 3"),
        (
            "2023-366",
            "yyyy-DDD",
            "could not be parsed: Invalid date 'DayOfYear 366' as '2023' is not a leap year",
        ),
        ("2024-01-31T12:34:56+01:00", "yyyy-MM-dd'T'HH:mm:ssXX", "could not be parsed at index 19"),
        ("2024-01-31T12:34:56Z", "yyyy-MM-dd'T'HH:mm:ssxxx", "could not be parsed at index 19"),
        ("2024-01-31 12:34:56 PST", "yyyy-MM-dd HH:mm:ss VV", "could not be parsed at index 20"),
        ("2024-01-31 x", "yyyy-MM-dd[ HH:mm:ss]", "could not be parsed, unparsed text found at index 10"),
        ("60", "mm", "could not be parsed: Invalid value for MinuteOfHour (valid values 0 - 59): 60"),
        ("", "yyyy", "could not be parsed at index 0"),
        ("202", "yyyy", "could not be parsed at index 0"),
        ("20241", "yM", "could not be parsed at index 5"),
        ("2024-01-31 29", "yyyy-MM-dd dd", "could not be parsed at index 11"),
        ("2024-01-31 +5", "yyyy-MM-dd d", "could not be parsed at index 11"),
    ] {
        let misfit =
            Pattern::for_parsing(pattern).unwrap().parse_to_micros(text, &los_angeles()).unwrap_err();
        assert_eq!(misfit.message(text), format!("Text '{text}' {message}"), "{pattern}");
    }
}

#[test]
fn dates_and_times_without_zone() {
    let p = |s| Pattern::for_parsing(s).unwrap();
    assert_eq!(p("dd/MM/yyyy HH").parse_to_micros_ntz("31/01/2024 12", false), Ok(1_706_702_400_000_000));
    assert!(p("yyyy XXX").parse_to_micros_ntz("2024 Z", false).is_err());
    assert_eq!(p("yyyy-MM-dd").parse_to_days("1970-01-02"), Ok(1));
    let f = Pattern::for_formatting("yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]").unwrap();
    assert_eq!(f.format_micros_ntz(1_706_702_400_123_456).unwrap(), "2024-01-31T12:00:00.123");
    assert!(Pattern::for_formatting("HH").unwrap().format_days(0).is_err());
    assert_eq!(
        Pattern::for_formatting("HH:mm").unwrap().format_time_nanos(3_600_000_000_000).unwrap(),
        "01:00"
    );
}

#[test]
fn hostile_texts_do_not_panic() {
    for pattern in
        ["yyyyMMddHHmmssSSS z", "MMMM d y GGGG a", "XXXXX", "OOOO", "VV", "D g", "h[m[s]]", "'é'yyyy"]
    {
        let p = Pattern::for_parsing(pattern).unwrap();
        for text in [
            "",
            "é",
            "99999999999999999999999",
            "-",
            "+",
            "GMT+",
            "GMT+é",
            "+0é",
            "Z",
            "中文",
            "+99:99",
            "-0000",
            "UTC+é9",
        ] {
            let _ = p.parse_to_micros(text, &Zone::UTC);
        }
    }
}
