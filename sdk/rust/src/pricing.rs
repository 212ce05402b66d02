//! Pricing rules: a price for each job, its parts, and what metered work comes to.

pub use crate::bindings::pricing::exports::framegate::policy::pricing::{
    Basis, Part, Quoted, Refusal, Side,
};
pub use crate::bindings::pricing::framegate::policy::{conditions, meter};
pub use crate::bindings::selection::framegate::policy::{job_details, scope};
use crate::{PluginInfo, SetupError};

/// Sets prices and works out charges; export it with [`crate::export_pricing_rule!`].
pub trait PricingRule: Sized + 'static {
    /// Returns what the plugin says of itself.
    fn describe() -> PluginInfo;

    /// Reads the scope and builds tables. `config` is JSON, empty if there is none.
    fn prepare(config: &str) -> Result<Self, SetupError>;

    /// Prices a job. `now` is Unix milliseconds.
    fn quote(&mut self, basis: &Basis, now: u64) -> Result<Quoted, Refusal>;

    /// Returns the same price in parts, which with `basis.base` add up to exactly the quote.
    fn explain(&mut self, basis: &Basis, now: u64) -> Result<Vec<Part>, Refusal>;

    /// Returns the wei that `units` single units come to at `agreed` wei a lot.
    fn charge(&mut self, agreed: u64, units: u64) -> Result<u64, Refusal>;
}

/// Exports a type that implements [`PricingRule`] as the component's rule.
#[macro_export]
macro_rules! export_pricing_rule {
    ($rule:ident) => {
        // Natively nothing is exported; naming the type keeps it from counting as unused.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> $crate::PluginInfo = <$rule as $crate::pricing::PricingRule>::describe;

        #[cfg(target_arch = "wasm32")]
        mod __framegate_export {
            use std::cell::RefCell;

            use $crate::bindings::pricing::exports::framegate::policy::pricing::Guest;
            use $crate::pricing::{Basis, Part, PricingRule, Quoted, Refusal};

            type Rule = super::$rule;

            std::thread_local! {
                static PREPARED: RefCell<Option<Rule>> = const { RefCell::new(None) };
            }

            fn prepared<T>(call: impl FnOnce(&mut Rule) -> T) -> T {
                PREPARED.with_borrow_mut(|rule| {
                    call(rule.as_mut().expect("the host calls `prepare` first"))
                })
            }

            struct Component;

            impl Guest for Component {
                fn describe() -> $crate::PluginInfo {
                    <Rule as PricingRule>::describe()
                }

                fn prepare(config: String) -> Result<(), $crate::SetupError> {
                    let rule = <Rule as PricingRule>::prepare(&config)?;
                    PREPARED.set(Some(rule));
                    Ok(())
                }

                fn quote(basis: Basis, now: u64) -> Result<Quoted, Refusal> {
                    prepared(|rule| rule.quote(&basis, now))
                }

                fn explain(basis: Basis, now: u64) -> Result<Vec<Part>, Refusal> {
                    prepared(|rule| rule.explain(&basis, now))
                }

                fn charge(agreed: u64, units: u64) -> Result<u64, Refusal> {
                    prepared(|rule| rule.charge(agreed, units))
                }
            }

            $crate::bindings::pricing::export_pricing!(
                Component with_types_in $crate::bindings::pricing
            );
        }
    };
}
