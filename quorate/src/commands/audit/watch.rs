//! Following the chain, and raising an alarm.

use std::path::Path;
use std::time::{Duration, Instant};

use client::{Client, EQUIVOCATION, Error, Fault, VerifiedCheckpoint};
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
        good_ms: 0,
        size: None,
    };
    // Silence is not measured by a clock that somebody may set.
    let started = Instant::now();
    let mut client: Option<Client> = None;
    loop {
        let look = look(context, &directory, &mut client).await;
        if let Ok(checkpoint) = &look {
            warn(context, &checkpoint.faults);
            or_say(context, keep(&directory, checkpoint));
        }
        if let (Err(Error::Forked { header, .. }), Some(client)) = (&look, &client) {
            or_say(context, keep_fork(context, &directory, client, header).await);
        }
        let faults = match &look {
            Ok(checkpoint) => checkpoint.faults.as_slice(),
            Err(Error::TooFew { faults, .. }) => faults.as_slice(),
            Err(_) => &[],
        };
        if let Some(fault) = signed_another(faults) {
            or_say(context, write_evidence(&directory, fault));
            return Err(alarm("log_forked", fault.to_string(), &directory));
        }
        let judged = look.as_ref().map(|checkpoint| &checkpoint.header);
        let since_start_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match vigil.judge(now_ms(), since_start_ms, judged) {
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
    /// How long after the start there was an answer that holds.
    good_ms: u64,
    size: Option<u64>,
}

impl Vigil {
    /// What is said now, by the clock and by the time since the start.
    fn judge(&mut self, now_ms: u64, since_start_ms: u64, look: Result<&Header, &Error>) -> Verdict {
        let header = match look {
            Ok(header) => header,
            Err(error @ (Error::Forked { .. } | Error::Checkpoint { .. })) => {
                return Verdict::Alarm(error.code(), error.to_string());
            }
            Err(error) => {
                let since_ms = since_start_ms.saturating_sub(self.good_ms);
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
        self.good_ms = since_start_ms;
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

/// What cannot be written, on a full disk say, silences no alarm.
fn or_say(context: &Context, written: Outcome) {
    if let Err(failure) = written {
        context.output.message(&format!("warning: {failure}"));
    }
}

/// An endorser that has signed another log than the one that is proven.
fn signed_another(faults: &[Fault]) -> Option<&Fault> {
    faults.iter().find(|fault| fault.check == EQUIVOCATION)
}

fn write_evidence(directory: &Path, fault: &Fault) -> Outcome {
    write(
        &directory.join("equivocation.note"),
        &String::from_utf8_lossy(&fault.evidence),
    )
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
            good_ms: 0,
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
        assert_eq!(vigil.judge(NOW_MS, 0, Ok(&header(5, NOW_MS))), Verdict::Grown);
        assert_eq!(vigil.judge(NOW_MS, 0, Ok(&header(5, NOW_MS))), Verdict::Same);
        assert_eq!(
            vigil.judge(NOW_MS + 60_000, 60_000, Ok(&header(6, NOW_MS))),
            Verdict::Grown
        );
    }

    #[test]
    fn a_chain_whose_newest_block_is_old_is_silent() {
        let verdict = vigil().judge(NOW_MS + 60_001, 60_001, Ok(&header(5, NOW_MS)));
        assert!(is_alarm(&verdict, "chain_silent"), "{verdict:?}");
    }

    #[test]
    fn endorsers_that_give_no_answer_that_holds_are_silent_after_a_while() {
        let mut vigil = vigil();
        let error = unavailable();
        assert_eq!(vigil.judge(NOW_MS + 60_000, 60_000, Err(&error)), Verdict::Unsure);
        assert!(is_alarm(
            &vigil.judge(NOW_MS + 60_001, 60_001, Err(&error)),
            "chain_silent"
        ));
        // One good look, and it counts anew.
        vigil.judge(NOW_MS + 70_000, 70_000, Ok(&header(5, NOW_MS + 70_000)));
        assert_eq!(
            vigil.judge(NOW_MS + 130_000, 130_000, Err(&error)),
            Verdict::Unsure
        );
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
        assert!(is_alarm(&vigil().judge(NOW_MS, 0, Err(&error)), "log_forked"));
    }

    #[test]
    fn p10_a_log_that_stays_shorter_is_an_alarm() {
        let error = Error::Behind {
            party: client::Party::Endorser("north".parse().unwrap()),
            size: 6,
            proven: 8,
        };
        let mut vigil = vigil();
        assert_eq!(vigil.judge(NOW_MS + 1_000, 1_000, Err(&error)), Verdict::Unsure);
        assert!(is_alarm(
            &vigil.judge(NOW_MS + 60_001, 60_001, Err(&error)),
            "log_cut"
        ));
    }

    #[test]
    fn p10_an_endorser_that_signed_another_log_is_an_alarm_with_what_it_signed() {
        let fault = |check| Fault {
            party: client::Party::Endorser("north".parse().unwrap()),
            what: "has signed another root".into(),
            check,
            evidence: b"what it signed\n".to_vec(),
        };
        assert_eq!(signed_another(&[fault("no_answer"), fault("checkpoint")]), None);
        let faults = [fault("no_answer"), fault(EQUIVOCATION)];
        let found = signed_another(&faults).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_evidence(folder.path(), found).unwrap();
        let kept = std::fs::read(folder.path().join("equivocation.note")).unwrap();
        assert_eq!(kept, fault(EQUIVOCATION).evidence);
    }
}
