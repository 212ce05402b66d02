//! Asking a selection policy the same question again: a version that gives two answers has a state
//! of its own, and its choices can be neither explained nor replayed.
//!
//! **Invariant:** an instance that is asked here has answered nothing before.

use std::fmt;
use std::sync::Arc;

use crate::fault::Fault;
use crate::job::JobFacts;
use crate::policy::ready::Ready;
use crate::policy::selection::{Decline, PreparedSelection, Scored, Shortlist};

/// What `pick` gives.
pub type Choice = Result<Shortlist, Decline>;

/// One question to a policy; equal questions have equal answers.
#[derive(Debug, Clone)]
pub struct Question {
    /// The job.
    pub job: Arc<JobFacts>,
    /// Milliseconds since 1970.
    pub now_unix_ms: u64,
    /// The only source of chance.
    pub seed: u64,
}

impl Question {
    /// Asks an instance.
    pub fn ask(&self, policy: &mut PreparedSelection) -> Result<Choice, Fault> {
        policy.pick(&self.job, self.now_unix_ms, self.seed)
    }
}

/// Two answers to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What `pick` gave.
    first: Choice,
    /// What was said the second time.
    second: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`pick` chose {}, and then {}", shown(&self.first), self.second)
    }
}

/// Asks a fresh instance `question` once more, and for an explanation, and compares both with the
/// `first` answer. Takes as long as preparing: never while a client waits.
pub fn audit(
    ready: &Ready<PreparedSelection>,
    question: &Question,
    first: &Choice,
) -> Result<Option<Difference>, Fault> {
    let differs = |second: String| Some(Difference { first: first.clone(), second });
    let mut policy = ready.fresh()?;
    let again = question.ask(&mut policy)?;
    if again != *first {
        return Ok(differs(format!("a fresh instance chose {}", shown(&again))));
    }
    let Question { job, now_unix_ms, seed } = question;
    let lines = policy.explain(job, *now_unix_ms, *seed)?;
    Ok(match (first, &lines) {
        (Ok(list), Ok(lines)) => {
            let told = chosen(lines, list.indices().len());
            let same = told == list.indices();
            if same { None } else { differs(format!("`explain` chose {told:?}")) }
        }
        (Ok(_), Err(decline)) => differs(format!("`explain` chose nobody ({decline})")),
        (Err(_), Ok(lines)) => {
            let told = chosen(lines, lines.len());
            if told.is_empty() { None } else { differs(format!("`explain` chose {told:?}")) }
        }
        (Err(first), Err(second)) if first == second => None,
        (Err(_), Err(decline)) => differs(format!("`explain` chose nobody ({decline})")),
    })
}

/// Returns the best `count` candidates that are not left out.
fn chosen(lines: &[Scored], count: usize) -> Vec<u32> {
    let kept = lines.iter().filter(|line| line.left_out.is_none());
    kept.take(count).map(|line| line.candidate).collect()
}

fn shown(choice: &Choice) -> String {
    match choice {
        Ok(list) => format!("{:?}", list.indices()),
        Err(decline) => format!("nobody ({decline})"),
    }
}
