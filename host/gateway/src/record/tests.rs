//! Limits of jobs, and who may read a record for how long.

use std::net::Ipv4Addr;

use super::*;

const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const TWO: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

#[test]
fn jobs_are_limited_in_all_and_for_one_client() {
    let (mut records, now) = (Records::default(), Instant::now());
    let mut admit = |client| records.admit(client, "c", "r", (3, 2), now).map(|it| it.id.0);
    assert_eq!((admit(ONE), admit(ONE)), (Ok(1), Ok(2)));
    assert_eq!(admit(ONE), Err(LimitError::Client { limit: 2 }));
    assert_eq!(admit(TWO), Ok(3));
    assert_eq!(admit(TWO), Err(LimitError::Jobs { limit: 3 }));
    records.end(JobId(1), Map::new(), now);
    assert!(records.admit(ONE, "c", "r", (3, 2), now).is_ok(), "an ended one counts no more");
}

#[test]
fn a_record_opens_to_its_token_only_and_is_forgotten_after_an_hour() {
    let (mut records, now) = (Records::default(), Instant::now());
    let job = records.admit(ONE, "c", "r", (9, 9), now).unwrap();
    assert_eq!(job.token.len(), 43);
    let look = |records: &Records, name: &str, token| records.with_token(name, token, |_, id| id);
    assert_eq!(look(&records, "job-1", Some(&job.token)), Looked::Found(job.id));
    assert_eq!(look(&records, "job-1", Some(&job.token[1..])), Looked::Denied);
    assert_eq!(look(&records, "job-1", None), Looked::Denied);
    for unknown in ["job-2", "job-01", "1", "session-1"] {
        assert_eq!(look(&records, unknown, Some(&job.token)), Looked::Unknown);
    }
    records.forget(now + KEPT * 2);
    assert!(records.json(job.id).is_some(), "it runs");
    let ended = serde_json::json!({"type": "ended", "reason": "eos", "job": "job-9"});
    records.end(job.id, ended.as_object().unwrap().clone(), now);
    let json: Value = serde_json::from_str(&records.json(job.id).unwrap()).unwrap();
    assert_eq!(
        (&json["job"], &json["state"], &json["reason"]),
        (&Value::from("job-1"), &Value::from("ended"), &Value::from("eos"))
    );
    records.forget(now + KEPT);
    assert_eq!(records.json(job.id), None);
}
