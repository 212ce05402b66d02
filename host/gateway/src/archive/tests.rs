//! The file of job records: what outlives a process, and what does not.

use tempfile::TempDir;

use super::*;

fn kept(number: u64, over: bool) -> Kept {
    let record = json!({ "job": format!("job-{number}"), "state": "running", "passed_over": [] });
    Kept {
        number,
        request: format!("request-{number}"),
        at_unix_ms: plugin::unix_ms(),
        over,
        token: format!("token-{number}"),
        record: record.to_string(),
    }
}

fn open(folder: &TempDir, config: RecordsConfig) -> (Archive, u64) {
    Archive::open(folder.path(), config).expect("the folder is there")
}

#[test]
fn a_record_opens_to_its_token_after_a_restart_and_what_ran_is_closed_as_lost() {
    let folder = TempDir::new().unwrap();
    let (archive, last) = open(&folder, RecordsConfig::default());
    assert_eq!(last, 0);
    archive.keep(kept(1, true));
    archive.keep(kept(7, false));
    drop(archive);
    let (archive, last) = open(&folder, RecordsConfig::default());
    assert_eq!(last, 7, "numbers go on");
    assert_eq!(archive.look("job-1", Some("token-7")), Looked::Denied);
    assert_eq!(archive.look("job-1", None), Looked::Denied);
    assert_eq!(archive.look("job-2", Some("token-1")), Looked::Unknown);
    assert_eq!(archive.look("request-1", Some("token-1")), Looked::Unknown, "a job has a name");
    assert!(matches!(archive.look("job-1", Some("token-1")), Looked::Found(Some(_))));
    let lost: Value = serde_json::from_str(&archive.find("request-7").unwrap()).unwrap();
    assert_eq!((&lost["state"], &lost["reason"]), (&json!("ended"), &json!("lost")));
    let names = |rows: Vec<Value>| rows.iter().map(|it| it["job"].clone()).collect::<Vec<_>>();
    assert_eq!(names(archive.list(None, 10)), ["job-7", "job-1"]);
    assert_eq!(names(archive.list(Some(7), 10)), ["job-1"]);
    assert_eq!(names(archive.list(None, 1)), ["job-7"]);
}

#[test]
fn age_and_size_are_bounded_and_the_oldest_goes_first() {
    let folder = TempDir::new().unwrap();
    let config = RecordsConfig { bytes_max: 1 << 20, ..RecordsConfig::default() };
    let (archive, _) = open(&folder, config);
    let old = Kept { at_unix_ms: 1, ..kept(1, true) };
    archive.keep(old);
    for number in 2..=500 {
        let record = json!({ "job": format!("job-{number}"), "text": "x".repeat(10_000) });
        archive.keep(Kept { record: record.to_string(), ..kept(number, true) });
    }
    drop(archive);
    let (archive, last) = open(&folder, config);
    assert_eq!(last, 500);
    assert_eq!(archive.find("job-1"), None, "too old");
    let left = archive.list(None, LISTED_MAX);
    assert!((40..120).contains(&left.len()), "{} of 10 KB each in 1 MiB", left.len());
    assert!(archive.find("job-2").is_none() && archive.find("job-500").is_some());
}

#[test]
fn a_record_with_a_thousand_passed_over_is_cut_and_says_so() {
    let entry = json!({ "orchestrator": "o".repeat(80), "class": "out-scored" });
    let record = json!({ "job": "job-1", "passed_over": vec![entry; 1000] }).to_string();
    let cut: Value = serde_json::from_str(&bounded(record)).unwrap();
    assert_eq!(cut["passed_over"].as_array().map(Vec::len), Some(PASSED_OVER_MAX));
    assert_eq!(cut["passed_over_left_out"], 900);
}

#[test]
fn a_file_that_is_no_database_is_set_aside_and_a_newer_one_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(FILE);
    fs::write(&path, "no database at all, and long enough to be looked at").unwrap();
    let (archive, last) = open(&folder, RecordsConfig::default());
    assert_eq!(last, 0);
    drop(archive);
    assert!(folder.path().join("jobs.sqlite.broken").is_file());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let error = Archive::open(folder.path(), RecordsConfig::default()).unwrap_err();
    assert!(error.to_string().ends_with("has layout 9 (1 is known)"), "{error}");
}

#[test]
fn without_a_file_nothing_is_kept_and_nothing_is_found() {
    let none = Archive::default();
    none.keep(kept(1, true));
    assert_eq!((none.find("job-1"), none.list(None, 9).len(), none.dropped()), (None, 0, 0));
    assert_eq!(none.look("job-1", Some("token-1")), Looked::Unknown);
}
