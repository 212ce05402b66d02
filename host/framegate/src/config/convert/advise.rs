//! `[advise]` as the side-car takes it, with what it borrows from the sections of the roles.

use super::super::{Config, Problem};
use super::{GatewayPlan, PricingPlan, Search, orchestrator_url};

/// Everything that the side-car is built from and that the file decides.
#[derive(Debug, Clone)]
pub(crate) struct AdvisePlan {
    /// Who is asked, who judges and what work may cost.
    pub(crate) gateway: GatewayPlan,
    /// Who prices.
    pub(crate) pricing: PricingPlan,
    /// URL of the orchestrator that is priced.
    pub(crate) node: Option<String>,
    /// Wallets that get no price, in lower case.
    pub(crate) refused: Vec<String>,
}

impl AdvisePlan {
    pub(super) fn new(config: &Config, search: &Search, problems: &mut Vec<Problem>) -> Self {
        let own = &config.advise;
        if !own.node.is_empty() {
            orchestrator_url("advise.node", &own.node, problems);
        }
        for (at, wallet) in own.refused.iter().enumerate() {
            if !is_wallet(wallet) {
                let message = format!("`{wallet}` is no wallet (`0x` and 40 hexadecimal digits)");
                problems.push(Problem::new(format!("advise.refused[{at}]"), message));
            }
        }
        let node = own.node.trim_end_matches('/');
        Self {
            gateway: GatewayPlan::new(config, search, problems),
            pricing: PricingPlan::new(&config.orchestrator, search, problems),
            node: (!node.is_empty()).then(|| node.to_owned()),
            refused: own.refused.iter().map(|wallet| wallet.to_ascii_lowercase()).collect(),
        }
    }
}

/// Says whether `text` is a wallet's address.
pub(crate) fn is_wallet(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or_default();
    digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
