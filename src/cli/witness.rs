//! `quotary witness`: the second signer.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use quotary::witness;
use quotary_audit::note::VerifierKey;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::Failure;

#[derive(Args)]
pub struct Witness {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8090")]
    address: SocketAddr,
    /// The file with its key, made by `quotary audit new-key --witness`.
    #[arg(long)]
    key_file: PathBuf,
    /// The folder that keeps what it has seen. A witness that has lost it must get a new key.
    #[arg(long)]
    state: PathBuf,
    /// A verifier key of a log that it watches; may be repeated.
    #[arg(long = "log", required = true)]
    logs: Vec<VerifierKey>,
}

impl Witness {
    #[expect(clippy::print_stdout, reason = "a supervisor waits for this line")]
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Failure> {
        let text = Zeroizing::new(std::fs::read_to_string(&self.key_file)?);
        let witness = witness::Witness::new(text.trim().parse()?, self.logs, &self.state)?;
        let listener = TcpListener::bind(self.address).await?;
        println!("listening on http://{}", listener.local_addr()?);
        Ok(witness::serve(witness, listener, stop).await?)
    }
}
