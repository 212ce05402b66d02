//! Selection policies: rank the candidates of one snapshot for each job.
//!
//! One value of a [`SelectionPolicy`] decides about one capability and one snapshot. It reads the
//! columns it needs in `prepare`; `pick` is hot and should only walk tables.

pub use crate::bindings::selection::exports::framegate::policy::selection::{
    Decline, Job, Scored, Shortlist,
};
pub use crate::bindings::selection::framegate::policy::{candidates, job_details, scope};
use crate::{PluginInfo, SetupError};

/// Chooses orchestrators; export it with [`crate::export_selection_policy!`].
pub trait SelectionPolicy: Sized + 'static {
    /// Returns what the plugin says of itself.
    fn describe() -> PluginInfo;

    /// Reads the columns and builds tables. `config` is JSON, empty if there is none.
    fn prepare(config: &str) -> Result<Self, SetupError>;

    /// Chooses. `now` is Unix milliseconds; `seed` is the only source of chance.
    fn pick(&mut self, job: &Job, now: u64, seed: u64) -> Result<Shortlist, Decline>;

    /// Returns the same choice with its grounds, best first, at most 100 lines.
    fn explain(&mut self, job: &Job, now: u64, seed: u64) -> Result<Vec<Scored>, Decline>;
}

/// Makes a shortlist of the first four of `ranked`; `None` if there is none.
pub fn shortlist(ranked: &[u32]) -> Option<Shortlist> {
    let at = |index: usize| ranked.get(index).copied();
    Some(Shortlist { first: at(0)?, second: at(1), third: at(2), fourth: at(3) })
}

/// Exports a type that implements [`SelectionPolicy`] as the component's policy.
#[macro_export]
macro_rules! export_selection_policy {
    ($policy:ident) => {
        // Natively nothing is exported; naming the type keeps it from counting as unused.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::PluginInfo = <$policy as $crate::selection::SelectionPolicy>::describe;

        #[cfg(target_arch = "wasm32")]
        mod __framegate_export {
            use std::cell::RefCell;

            use $crate::bindings::selection::exports::framegate::policy::selection::Guest;
            use $crate::selection::{Decline, Job, Scored, SelectionPolicy, Shortlist};

            type Policy = super::$policy;

            std::thread_local! {
                static PREPARED: RefCell<Option<Policy>> = const { RefCell::new(None) };
            }

            fn prepared<T>(call: impl FnOnce(&mut Policy) -> T) -> T {
                PREPARED.with_borrow_mut(|policy| {
                    call(policy.as_mut().expect("the host calls `prepare` first"))
                })
            }

            struct Component;

            impl Guest for Component {
                fn describe() -> $crate::PluginInfo {
                    <Policy as SelectionPolicy>::describe()
                }

                fn prepare(config: String) -> Result<(), $crate::SetupError> {
                    let policy = <Policy as SelectionPolicy>::prepare(&config)?;
                    PREPARED.set(Some(policy));
                    Ok(())
                }

                fn pick(job: Job, now: u64, seed: u64) -> Result<Shortlist, Decline> {
                    prepared(|policy| policy.pick(&job, now, seed))
                }

                fn explain(job: Job, now: u64, seed: u64) -> Result<Vec<Scored>, Decline> {
                    prepared(|policy| policy.explain(&job, now, seed))
                }
            }

            $crate::bindings::selection::export_selection!(
                Component with_types_in $crate::bindings::selection
            );
        }
    };
}
