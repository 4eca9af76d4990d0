//! Following the chain, and raising an alarm.

use std::path::Path;
use std::time::Duration;

use client::{Client, Error, VerifiedCheckpoint};
use golden_record::Header;
use serde_json::json;
use service::files::{Secrecy, write_atomically};

use super::super::Context;
use super::super::documents::warn;
use super::now_ms;
use crate::cli::AuditWatchArgs;
use crate::failure::{Failure, Outcome};
use crate::output::timestamp;

pub(super) async fn run(context: &Context, arguments: &AuditWatchArgs) -> Outcome {
    let directory = arguments
        .dir
        .clone()
        .unwrap_or_else(|| context.profile_path().with_file_name("watch"));
    let mut vigil = Vigil {
        silent_ms: arguments.silent.saturating_mul(1_000),
        good_ms: now_ms(),
        size: None,
    };
    let mut client: Option<Client> = None;
    loop {
        let look = look(context, &directory, &mut client).await;
        if let Ok(checkpoint) = &look {
            warn(context, &checkpoint.faults);
            keep(&directory, checkpoint)?;
        }
        if let (Err(Error::Forked { header, .. }), Some(client)) = (&look, &client) {
            keep_fork(context, &directory, client, header).await?;
        }
        match vigil.judge(now_ms(), look.as_ref().map(|checkpoint| &checkpoint.header)) {
            Verdict::Alarm(code, text) => return Err(alarm(code, text, &directory)),
            Verdict::Unsure if arguments.once => return look.map(drop).map_err(Failure::from),
            Verdict::Unsure => {
                if let Err(error) = &look {
                    context.output.message(&format!("cannot tell: {error}"));
                }
            }
            Verdict::Same if !arguments.once => {}
            Verdict::Same | Verdict::Grown => {
                if let Ok(checkpoint) = &look {
                    say(context, checkpoint)?;
                }
            }
        }
        if arguments.once {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(arguments.interval.max(1))).await;
    }
}

/// What one look at the chain says.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The log has grown, or it is the first look.
    Grown,
    /// The log is as it was.
    Same,
    /// There was no answer that holds, and not for too long yet.
    Unsure,
    /// Something is wrong: its code, and the words for it.
    Alarm(&'static str, String),
}

/// What is remembered from look to look.
#[derive(Debug)]
struct Vigil {
    silent_ms: u64,
    /// When there was an answer that holds.
    good_ms: u64,
    size: Option<u64>,
}

impl Vigil {
    fn judge(&mut self, now_ms: u64, look: Result<&Header, &Error>) -> Verdict {
        let header = match look {
            Ok(header) => header,
            Err(error @ (Error::Forked { .. } | Error::Checkpoint { .. })) => {
                return Verdict::Alarm(error.code(), error.to_string());
            }
            Err(error) => {
                let since_ms = now_ms.saturating_sub(self.good_ms);
                return if since_ms <= self.silent_ms {
                    Verdict::Unsure
                } else if matches!(error, Error::Behind { .. }) {
                    let text = format!(
                        "for {} s every answer was a shorter log: {error}",
                        since_ms / 1_000
                    );
                    Verdict::Alarm("log_cut", text)
                } else {
                    let text = format!("no answer that holds for {} s: {error}", since_ms / 1_000);
                    Verdict::Alarm("chain_silent", text)
                };
            }
        };
        self.good_ms = now_ms;
        let age_ms = now_ms.saturating_sub(header.time_ms);
        if age_ms > self.silent_ms {
            let text = format!(
                "the newest block that is proven, {} of {}, is {} s old",
                header.height,
                timestamp(header.time_ms),
                age_ms / 1_000
            );
            return Verdict::Alarm("chain_silent", text);
        }
        let grown = self.size != Some(header.log_size);
        self.size = Some(header.log_size);
        if grown { Verdict::Grown } else { Verdict::Same }
    }
}

async fn look(
    context: &Context,
    directory: &Path,
    client: &mut Option<Client>,
) -> Result<VerifiedCheckpoint, Error> {
    let connected = match client {
        Some(client) => client,
        None => client.insert(super::connect_with(context, directory).await?),
    };
    connected.signed_checkpoint().await
}

fn say(context: &Context, checkpoint: &VerifiedCheckpoint) -> Outcome {
    let header = &checkpoint.header;
    let value = json!({
        "log_size": header.log_size,
        "root": hex::encode(header.log_root),
        "height": header.height,
        "time_ms": header.time_ms,
        "signatures": checkpoint.signatures,
    });
    let text = format!(
        "{} {} entries, root {}, block {}, signed by {} of {} endorsers",
        timestamp(header.time_ms),
        header.log_size,
        hex::encode(header.log_root),
        header.height,
        checkpoint.signatures,
        checkpoint.endorsers
    );
    if context.output.is_json() {
        return context.output.line(&value.to_string());
    }
    context.output.line(&text)
}

/// The newest checkpoint with its signatures: beside another that does not continue it, the proof of a fork.
fn keep(directory: &Path, checkpoint: &VerifiedCheckpoint) -> Outcome {
    write(&directory.join("newest.note"), &checkpoint.signed.to_text())
}

async fn keep_fork(context: &Context, directory: &Path, client: &Client, header: &Header) -> Outcome {
    match client.cosigned_checkpoint(header).await {
        Ok(signed) => write(&directory.join("fork.note"), &signed.to_text()),
        // The alarm is raised in any case.
        Err(error) => {
            context
                .output
                .message(&format!("the other history's checkpoint cannot be had: {error}"));
            Ok(())
        }
    }
}

fn write(path: &Path, text: &str) -> Outcome {
    write_atomically(path, text.as_bytes(), Secrecy::Public)
        .map_err(|error| Failure::from(error).while_doing(&format!("writing {}", path.display())))
}

fn alarm(code: &'static str, text: String, directory: &Path) -> Failure {
    let next = match code {
        "chain_silent" => {
            "ask the organisations' operators; `quorate status` shows who can be reached".into()
        }
        _ => format!(
            "believe neither history, keep {} as evidence, and ask the organisations' operators who has signed what",
            directory.display()
        ),
    };
    Failure::no(code, format!("ALARM: {text}"), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn header(log_size: u64, time_ms: u64) -> Header {
        Header {
            chain_id: threshold::ids::ChainId([1; 32]),
            height: 7,
            parent: threshold::ids::BlockHash([0; 32]),
            time_ms,
            entries: 0,
            body_hash: [0; 32],
            log_size,
            log_root: [0; 32],
            state_digest: [0; 32],
        }
    }

    fn vigil() -> Vigil {
        Vigil {
            silent_ms: 60_000,
            good_ms: NOW_MS,
            size: None,
        }
    }

    fn is_alarm(verdict: &Verdict, code: &str) -> bool {
        matches!(verdict, Verdict::Alarm(given, _) if *given == code)
    }

    fn unavailable() -> Error {
        Error::Request("nobody answers".into())
    }

    #[test]
    fn a_chain_that_grows_and_rests_is_well() {
        let mut vigil = vigil();
        assert_eq!(vigil.judge(NOW_MS, Ok(&header(5, NOW_MS))), Verdict::Grown);
        assert_eq!(vigil.judge(NOW_MS, Ok(&header(5, NOW_MS))), Verdict::Same);
        assert_eq!(
            vigil.judge(NOW_MS + 60_000, Ok(&header(6, NOW_MS))),
            Verdict::Grown
        );
    }

    #[test]
    fn a_chain_whose_newest_block_is_old_is_silent() {
        let verdict = vigil().judge(NOW_MS + 60_001, Ok(&header(5, NOW_MS)));
        assert!(is_alarm(&verdict, "chain_silent"), "{verdict:?}");
    }

    #[test]
    fn endorsers_that_give_no_answer_that_holds_are_silent_after_a_while() {
        let mut vigil = vigil();
        let error = unavailable();
        assert_eq!(vigil.judge(NOW_MS + 60_000, Err(&error)), Verdict::Unsure);
        assert!(is_alarm(
            &vigil.judge(NOW_MS + 60_001, Err(&error)),
            "chain_silent"
        ));
        // One good look, and it counts anew.
        vigil.judge(NOW_MS + 70_000, Ok(&header(5, NOW_MS + 70_000)));
        assert_eq!(vigil.judge(NOW_MS + 130_000, Err(&error)), Verdict::Unsure);
    }

    #[test]
    fn p10_a_fork_is_an_alarm_at_once() {
        let error = Error::Forked {
            party: client::Party::Endorser("north".parse().unwrap()),
            earlier: client::Checkpoint {
                size: 8,
                root: [1; 32],
            },
            header: Box::new(header(8, NOW_MS)),
        };
        assert!(is_alarm(&vigil().judge(NOW_MS, Err(&error)), "log_forked"));
    }

    #[test]
    fn p10_a_log_that_stays_shorter_is_an_alarm() {
        let error = Error::Behind {
            party: client::Party::Endorser("north".parse().unwrap()),
            size: 6,
            proven: 8,
        };
        let mut vigil = vigil();
        assert_eq!(vigil.judge(NOW_MS + 1_000, Err(&error)), Verdict::Unsure);
        assert!(is_alarm(&vigil.judge(NOW_MS + 60_001, Err(&error)), "log_cut"));
    }
}
