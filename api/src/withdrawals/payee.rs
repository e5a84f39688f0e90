//! Bank details: an object of texts, shown in full only to those who decide on the withdrawal.
//!
//! What must always hold: in the clear they are only in the request, in the seal, and in the answer to a decider; numbers
//! of accounts are masked for everyone else.

use std::collections::BTreeMap;

use quotary_commands::account::secrets::known_data_key;
use quotary_commands::withdrawal::request::payee_purpose;
use quotary_commands::{CommandError, VaultError};
use quotary_domain::{AccountId, Actor, Sealed, TenantId, WithdrawalId};

use crate::problem::Problem;
use crate::state::AppState;

/// Bank details by field.
pub type Payee = BTreeMap<String, String>;

/// How many fields there can be.
const MAX_FIELDS: usize = 20;
/// A text with this many digits counts as a number of an account whatever its field is called.
const MANY_DIGITS: usize = 6;
/// How many characters of a masked text are shown.
const SHOWN: usize = 4;

/// Refuses what can't be bank details.
pub(super) fn check(payee: &Payee) -> Result<(), Problem> {
    if !(1..=MAX_FIELDS).contains(&payee.len()) {
        return Err(Problem::invalid("/payee", format!("must have 1 to {MAX_FIELDS} fields")));
    }
    let fits =
        |text: &str, max: usize| (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    for (field, text) in payee {
        if !fits(field, 50) || !fits(text, 200) {
            let detail = "names have 1 to 50 and values 1 to 200 characters, without control characters";
            return Err(Problem::invalid("/payee", detail));
        }
    }
    Ok(())
}

/// The bank details with numbers of accounts reduced to their last characters.
pub(super) fn masked(payee: Payee) -> Payee {
    payee
        .into_iter()
        .map(|(field, text)| if is_number(&field, &text) { (field, mask(&text)) } else { (field, text) })
        .collect()
}

fn is_number(field: &str, text: &str) -> bool {
    let field = field.to_lowercase();
    ["account", "number", "iban", "card", "phone"].iter().any(|word| field.contains(word)) && !field.contains("name")
        || text.chars().filter(char::is_ascii_digit).count() >= MANY_DIGITS
}

fn mask(text: &str) -> String {
    let length = text.chars().count();
    let shown = if length > SHOWN { length - SHOWN } else { length };
    format!("****{}", text.chars().skip(shown).collect::<String>())
}

/// The bank details of a withdrawal, masked unless in full; `None` if they were erased.
pub(super) async fn open(
    state: &AppState,
    tenant_id: TenantId,
    (id, agent_id): (WithdrawalId, AccountId),
    sealed: &Sealed,
    in_full: bool,
) -> Result<Option<Payee>, Problem> {
    let log = state.commands.log();
    let key = match known_data_key(&state.pool, log.vault(), tenant_id, agent_id).await {
        Ok(key) => key,
        Err(CommandError::Vault(VaultError::Erased)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let bytes = key.open(&payee_purpose(id), sealed)?;
    let payee: Payee = serde_json::from_slice(&bytes).map_err(|error| Problem::internal(&error))?;
    Ok(Some(if in_full { payee } else { masked(payee) }))
}

/// Whether the actor decides on withdrawals of the agent.
pub(super) async fn decides(state: &AppState, actor: &Actor, agent_id: AccountId) -> Result<bool, Problem> {
    let agent = state.commands.log().current::<quotary_domain::account::Account>(actor.tenant_id, agent_id).await?;
    let profile = agent.and_then(|(account, _)| account.profile);
    Ok(profile.is_some_and(|profile| actor.manages(agent_id, &profile.ancestors)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_accounts_are_masked_and_names_are_not() {
        let payee = [
            ("bank", "First Bank"),
            ("account_number", "6222021234567890"),
            ("account_name", "Li Wei"),
            ("iban", "DE89"),
            ("other", "call 0123456789"),
        ];
        let shown = masked(payee.iter().map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect());
        assert_eq!(shown["bank"], "First Bank");
        assert_eq!(shown["account_number"], "****7890");
        assert_eq!(shown["account_name"], "Li Wei");
        assert_eq!(shown["iban"], "****");
        assert_eq!(shown["other"], "****6789");
    }
}
