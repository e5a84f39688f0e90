//! How fast 100,000 keys are issued, from the request to the last licence, and how many activations a second are durable,
//! beside plain commands on the same log.

use std::sync::Arc;
use std::time::Duration;

use quotary_commands::{Commands, Context, clock};
use quotary_domain::license::{LicenseTerms, Machine, UsedBy};

use super::load::{Measured, closed_loop};
use super::report::{Line, Report};
use super::scene::{Failure, fresh_database};
use super::shop::{Shop, config};
use super::{cold_start, commands};
use crate::embedded::Servers;
use crate::service::{Halves, Service};

const LICENSES: u32 = 100_000;
const IN_FLIGHT: usize = 64;
const WARM_UP: Duration = Duration::from_secs(2);
const PERIOD: Duration = Duration::from_secs(6);
/// Enough for every activation of the measurement to be a new machine.
const MACHINES: u32 = 100;

/// Measures all three of a database that fills: issue, activation, and the start of a node on it.
///
/// # Errors
/// If the service fails.
pub async fn measure(servers: &Servers, report: &mut Report) -> Result<(), Failure> {
    let config = config(fresh_database(servers, "bench_licences").await?)?;
    let service = Service::start(&config, Halves::Both).await?;
    let shop = Shop::open(&service, LicenseTerms::usual(Some(365), MACHINES, vec![]), LICENSES).await?;
    let seconds = shop.issued_within.as_secs_f64();
    let note = format!("{LICENSES} keys, from the request to the end of the batch, with all read models following");
    report.add(Line::plain("issue_100k", "s", seconds, note))?;
    let shop = Arc::new(shop);
    let plain = commands::on(service.commands.log().clone(), shop.admin, IN_FLIGHT).await?;
    let ours = activations(&service.commands, shop.clone()).await?;
    let note = "each a new machine of one of 100000 licences; baseline: plain commands on the same log";
    report.add(Line::of_loop("activate_64", "activations/s", &ours, Some(&plain)).noting(note))?;
    cold_start::measure(&config, &service, &shop, report).await?;
    Ok(service.run_until(std::future::ready(())).await?)
}

async fn activations(commands: &Commands, shop: Arc<Shop>) -> Result<Measured, Failure> {
    let commands = commands.clone();
    closed_loop(IN_FLIGHT, WARM_UP, PERIOD, move |number| {
        let (commands, shop) = (commands.clone(), shop.clone());
        async move {
            let place = usize::try_from(number)?;
            let (id, machine) = (shop.licenses[place % shop.licenses.len()].0, place / shop.licenses.len());
            let tenant = shop.admin.tenant_id;
            let hash = commands.log().vault().hash(tenant, "fingerprint", &format!("machine-{machine}"));
            let context = Context::system(tenant, "license.use", clock::now());
            let used = commands.use_license(&context, shop.project_id, id, Machine::of(hash), UsedBy::Verification);
            used.await.map(|_| ()).map_err(Failure::from)
        }
    })
    .await
}
