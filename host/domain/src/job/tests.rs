//! The life of a job, step by step.

use super::*;
use crate::capability::Capability;
use crate::id::OrchestratorId;
use crate::price::{LIVE_LOT, UnitPrice};

fn offering(name: &str, wei: u64) -> Offering {
    Offering {
        orchestrator: OrchestratorId(name.to_owned()),
        uri: format!("https://{name}:8935"),
        capability: Capability::live("sketch-video").expect("good name"),
        price: UnitPrice::new(wei, LIVE_LOT),
        slots_free: None,
        slots_total: None,
        warm: true,
        hardware: String::new(),
        rtt_us: None,
        in_flight: 0,
        attempts: 0,
        successes: 0,
        failed_at: None,
        suspended: None,
        expires_at: Instant::now(),
    }
}

fn running(now: Instant) -> Job {
    let mut job = Job::ask(9, now);
    let offers = [offering("a", 5), offering("b", 7)];
    assert_eq!(job.found(&offers, Vec::new(), &[0, 1], now), [Step::Start(0)]);
    assert_eq!(job.started(0, now), [Step::Accept(0)]);
    job
}

#[test]
fn a_ranking_is_taken_only_as_far_as_the_host_agrees() {
    let now = Instant::now();
    let offers = [offering("a", 5), offering("dear", 10), offering("c", 6)];
    let orchestrator = OrchestratorId("other".to_owned());
    let absent = PassedOver { orchestrator, reason: Reason::NoCapability };
    let mut job = Job::ask(9, now);
    assert_eq!(job.found(&offers, vec![absent], &[1, 7, 2, 2, 0], now), [Step::Start(2)]);
    assert_eq!(job.failed(2, Reason::NoSlot, now), [Step::Start(0)]);
    assert_eq!(job.failed(2, Reason::NoSlot, now), [], "it is not asked any more");
    assert_eq!(job.started(0, now), [Step::Accept(0)]);
    let others = job.passed_over();
    let others: Vec<_> =
        others.iter().map(|o| (o.orchestrator.0.as_str(), o.reason.class())).collect();
    assert_eq!(others, [("dear", "price-over-cap"), ("c", "no-slot"), ("other", "no-capability")]);
    assert_eq!(job.started(2, now), [Step::Stop(2)], "an answer that came too late");
}

#[test]
fn a_job_that_is_told_nothing_ends_at_its_deadlines() {
    let start = Instant::now();
    let mut job = Job::ask(9, start);
    job.found(&[offering("a", 5), offering("b", 7)], Vec::new(), &[0, 1], start);
    let (mut now, mut steps) = (start, Vec::new());
    while let Some(deadline) = job.deadline() {
        assert_eq!(job.tick(deadline - Duration::from_millis(1)), []);
        now = deadline;
        steps.extend(job.tick(now));
    }
    assert_eq!(steps, [Step::Stop(0), Step::Start(1), Step::Stop(1), Step::Refuse]);
    assert!(now <= start + ANSWER_MAX);
    let reasons = job.passed_over();
    assert!(reasons.iter().all(|entry| entry.reason.class() == "unreachable"), "{reasons:?}");
    let mut nobody = Job::ask(9, start);
    assert_eq!(nobody.tick(start + FIND_MAX), [Step::Refuse]);
}

#[test]
fn a_job_whose_orchestrator_is_lost_moves_and_comes_back_to_it_only_as_the_last_resort() {
    let now = Instant::now();
    let mut job = running(now);
    assert_eq!(job.lost(now), [Step::Leave(0)]);
    assert!(job.is_moving() && job.serving().is_none());
    let offers = [offering("a", 5), offering("b", 7), offering("c", 8)];
    assert_eq!(job.found(&offers, Vec::new(), &[0, 2, 1], now), [Step::Start(2)]);
    assert_eq!(job.failed(2, Reason::NoSlot, now), [Step::Start(1)]);
    assert_eq!(job.started(1, now), [Step::Resume(1)]);
    let others = job.passed_over();
    let others: Vec<_> = others.iter().map(|o| o.reason.class()).collect();
    assert_eq!(others, ["unreachable", "no-slot"]);
    // The report that its worker is gone is a loss like any other.
    assert_eq!(job.finished(1, EndReason::Lost, now), [Step::Leave(1)]);
    assert_eq!(job.found(&offers[..1], Vec::new(), &[0], now), [Step::Start(0)]);
    assert_eq!(job.started(0, now), [Step::Resume(0)]);
    assert_eq!(job.lost(now), [Step::Stop(0), Step::Settle(EndReason::Lost)], "a third in a row");
}

#[test]
fn calm_forgives_moves_and_only_a_job_whose_client_is_there_moves() {
    let start = Instant::now();
    let mut job = running(start);
    let offers = [offering("a", 5), offering("b", 7)];
    for turn in 0..9 {
        let now = start + CALM * turn;
        job.lost(now);
        job.found(&offers, Vec::new(), &[1], now);
        assert_eq!(job.started(1, now), [Step::Resume(1)], "{turn}");
    }
    let mut job = running(start);
    job.end(EndReason::ClientGone, start);
    assert_eq!(job.lost(start), [Step::Settle(EndReason::ClientGone)]);
    let mut job = running(start);
    job.lost(start);
    assert_eq!(job.tick(start + FIND_MAX), [Step::Settle(EndReason::Lost)], "nobody is left");
}

#[test]
fn an_input_that_ended_before_or_while_the_job_moved_is_ended_where_it_goes_on() {
    let now = Instant::now();
    let offers = [offering("a", 5), offering("b", 7)];
    for closes_first in [true, false] {
        let mut job = running(now);
        if closes_first {
            assert_eq!(job.end(EndReason::Eos, now), [Step::Stop(0)]);
        }
        assert_eq!(job.lost(now), [Step::Leave(0)]);
        assert_eq!(job.end(EndReason::Eos, now), []);
        assert_eq!(job.found(&offers, Vec::new(), &[1], now), [Step::Start(1)]);
        assert_eq!(job.started(1, now), [Step::Resume(1), Step::Stop(1)]);
        assert_eq!(job.finished(1, EndReason::Eos, now), [Step::Settle(EndReason::Eos)]);
    }
}

#[test]
fn a_silent_client_drains_and_a_silent_orchestrator_is_lost() {
    let start = Instant::now();
    let mut job = running(start);
    job.heard(start + IDLE_MAX);
    assert_eq!(job.tick(start + IDLE_MAX), [Step::Stop(0)]);
    assert_eq!(job.tick(start + IDLE_MAX + REPORT_MAX), [Step::Settle(EndReason::ClientGone)]);
    let mut job = running(start);
    job.input(start + QUIET_MAX);
    assert_eq!(job.tick(start + QUIET_MAX), [Step::Leave(0)]);
}

#[test]
fn only_a_report_proves_that_everything_was_sent_on() {
    let now = Instant::now();
    let mut job = running(now);
    assert_eq!(job.end(EndReason::Eos, now), [Step::Stop(0)]);
    assert_eq!(job.end(EndReason::Eos, now), []);
    assert_eq!(job.finished(1, EndReason::Fault, now), [], "it does not serve this job");
    assert_eq!(job.finished(0, EndReason::Eos, now), [Step::Settle(EndReason::Eos)]);
    let mut job = running(now);
    job.end(EndReason::Eos, now);
    job.output(now + REPORT_MAX / 2);
    assert_eq!(job.tick(now + REPORT_MAX), [], "somebody reads the tail");
    assert_eq!(job.tick(now + REPORT_MAX * 2), [Step::Settle(EndReason::Lost)]);
    let mut job = running(now);
    job.end(EndReason::Shutdown, now);
    assert_eq!(job.finished(0, EndReason::Fault, now), [Step::Settle(EndReason::Fault)]);
}

#[test]
fn a_session_that_ends_before_its_start_is_heard_of_is_a_failed_try() {
    let now = Instant::now();
    let mut job = Job::ask(9, now);
    job.found(&[offering("a", 5), offering("b", 7)], Vec::new(), &[0, 1], now);
    assert_eq!(job.finished(0, EndReason::Fault, now), [Step::Start(1)]);
    assert_eq!(job.started(0, now), [Step::Stop(0)]);
}
