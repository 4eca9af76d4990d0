//! Writing, reading and inspecting documents.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use client::{Client, Document, Error, Fault, ReadReport, ReadRequest, WriteRequest};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use threshold::encoding::Canonical;
use threshold::wrap::WrappedKey;

use super::{Context, parse_document, receipts};
use crate::cli::{InspectArgs, ReadArgs, WriteArgs};
use crate::failure::{Failure, Outcome};
use crate::keyring::Owner;
use crate::output;

pub(super) async fn write(context: &Context, arguments: &WriteArgs) -> Outcome {
    let (tenant, dataset, document) = parse_document(&arguments.document)?;
    let user = context.user(&tenant, arguments.signer.as_deref())?;
    let client = context
        .client_as(&Owner::User(tenant.to_string(), user.to_string()))
        .await?;
    let (mut content, name) = source(&arguments.file)?;
    let request = WriteRequest {
        tenant,
        dataset,
        document,
        name,
        content_type: arguments.content_type.clone(),
    };
    let progress = context.output.progress("encrypting and recording");
    let report = client.write(&request, &mut content).await?;
    drop(progress);
    let value = json!({
        "document": arguments.document,
        "version": report.label.version,
        "size": report.size,
        "encrypted_size": report.encrypted_size,
        "wrapped_key_bytes": report.wrapped_key_bytes,
        "on_chain": report.on_chain,
        "write_id": report.write_id.to_string(),
        "tx_id": report.tx_id.to_string(),
        "index": report.index,
        "height": report.height,
    });
    let text = format!(
        "{} version {}: {} written, log entry {}",
        arguments.document,
        report.label.version,
        output::size(report.size),
        report.index
    );
    context.output.result(&value, &text)
}

pub(super) async fn read(context: &Context, arguments: &ReadArgs) -> Outcome {
    let (tenant, dataset, document) = parse_document(&arguments.document)?;
    if let Some(path) = arguments
        .output
        .as_deref()
        .filter(|path| path.exists() && !arguments.force)
    {
        return Err(Failure::error(
            format!("{} exists already", path.display()),
            "choose another file with --output, or replace it with --force",
        ));
    }
    if let Some(path) = &arguments.receipt {
        receipts::check_free(path, arguments.force)?;
        if arguments
            .output
            .as_deref()
            .is_some_and(|output| is_one_file(output, path))
        {
            return Err(Failure::error(
                format!(
                    "{} is where the content goes: the receipt would replace it",
                    path.display()
                ),
                "choose another file with --receipt",
            ));
        }
    }
    if context.output.is_json() && arguments.output.is_none() {
        return Err(Failure::error(
            "with --json, standard output is for the report, not for the content",
            "say where the content goes with --output FILE",
        ));
    }
    let user = context.user(&tenant, arguments.signer.as_deref())?;
    let client = context
        .client_as(&Owner::User(tenant.to_string(), user.to_string()))
        .await?;
    let (version, purpose) = (arguments.version, arguments.purpose.clone());
    let request = ReadRequest {
        tenant,
        dataset,
        document,
        version,
        user,
        purpose,
    };
    let reading = Reading {
        context,
        client: &client,
        request,
        arguments,
    };
    let report = match &arguments.output {
        None => reading.to_stdout().await?,
        Some(path) => reading.to_file(path).await?,
    };
    if let Some(path) = &arguments.receipt {
        let written = receipts::of_read(context, &client, &report, path, arguments.force).await;
        written.map_err(|failure| {
            let content = arguments.output.as_deref();
            without_receipt(failure, content, &report.approve_id.to_string(), report.index)
        })?;
    }
    warn(context, &report.faults);
    context.output.message(&format!(
        "verified: approved by {}; re-encrypted by {}; recorded as log entry {}",
        names(&report.approved_by),
        names(report.released_by.iter().map(|(_, name)| name)),
        report.index
    ));
    if context.output.is_json() {
        return context.output.result(&report_value(&report), "");
    }
    Ok(())
}

pub(super) async fn inspect(context: &Context, arguments: &InspectArgs) -> Outcome {
    let (tenant, dataset, document) = parse_document(&arguments.document)?;
    let client = context.client(Some(&tenant)).await?;
    let found = client
        .document(&tenant, &dataset, &document, arguments.version.unwrap_or(0))
        .await?;
    let wrapped = found.wrapped_key.as_ref();
    let of_wrapped = |text: fn(&WrappedKey) -> String| wrapped.map_or_else(|| "none".to_owned(), text);
    let place = if found.inline.is_some() {
        "on the chain"
    } else {
        "in the writer's object store"
    };
    let rows = [
        ("document", arguments.document.clone()),
        ("version", found.version.to_string()),
        ("written by", found.writer.to_string()),
        ("written at", output::timestamp(found.time_ms)),
        ("log entry", found.log_index.to_string()),
        ("block height", found.height.to_string()),
        ("encrypted object", format!("{} bytes, {place}", found.size)),
        ("checksum (SHA-256)", hex::encode(found.checksum)),
        ("write id", of_wrapped(|wrapped| wrapped.write_id().to_string())),
        (
            "custody key id",
            of_wrapped(|wrapped| wrapped.key_id().to_string()),
        ),
        (
            "wrapped key",
            of_wrapped(|wrapped| format!("{} bytes, its proof verified", wrapped.to_bytes().len())),
        ),
        ("label", of_wrapped(|wrapped| wrapped.label().to_string())),
    ];
    if context.output.is_json() {
        let value = json!({
            "document": arguments.document, "version": found.version, "writer": found.writer.as_str(),
            "time_ms": found.time_ms, "index": found.log_index, "height": found.height,
            "encrypted_size": found.size, "on_chain": found.inline.is_some(),
            "checksum": hex::encode(found.checksum), "write_id": wrapped.map(|wrapped| wrapped.write_id().to_string()),
            "key_id": wrapped.map(|wrapped| wrapped.key_id().to_string()),
            "wrapped_key_bytes": wrapped.map(|wrapped| wrapped.to_bytes().len()),
            "label": wrapped.map(|wrapped| wrapped.label().to_string()),
        });
        return context.output.result(&value, "");
    }
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    context.output.table(&["", ""], &rows, &[])
}

/// A read that is about to be made.
struct Reading<'a> {
    context: &'a Context,
    client: &'a Client,
    request: ReadRequest,
    arguments: &'a ReadArgs,
}

impl Reading<'_> {
    async fn to_stdout(&self) -> Outcome<ReadReport> {
        let document = self.open().await?;
        let mut stdout = io::stdout().lock();
        let report = document.copy_to(&mut stdout)?;
        stdout.flush()?;
        Ok(report)
    }

    /// To a temporary file beside the place, which is taken only by what has been verified to its end.
    async fn to_file(&self, path: &Path) -> Outcome<ReadReport> {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut file = NamedTempFile::new_in(folder).map_err(|error| {
            Failure::error(
                format!("cannot write to {}: {error}", folder.display()),
                "choose a folder that exists and is yours with --output",
            )
        })?;
        let progress = self
            .context
            .output
            .progress("asking the ledger and the crypto nodes");
        let document = self.open().await?;
        progress.say("decrypting");
        let report = document.copy_to(&mut file)?;
        file.as_file().sync_all()?;
        let kept = if self.arguments.force {
            file.persist(path)
        } else {
            file.persist_noclobber(path)
        };
        kept.map_err(|error| Failure::from(error.error).while_doing(&format!("writing {}", path.display())))?;
        Ok(report)
    }

    /// Asks. A denial has a receipt too.
    async fn open(&self) -> Outcome<Document> {
        let answer = self.client.read(&self.request).await;
        if let (Err(Error::Denied { tx_id, .. }), Some(path)) = (&answer, &self.arguments.receipt) {
            let written = receipts::of_recorded(self.context, self.client, tx_id, path, self.arguments.force);
            if let Err(failure) = written.await {
                // The denial is what the caller must hear of.
                self.context
                    .output
                    .message(&format!("warning: no receipt of the denial: {failure}"));
            }
        }
        Ok(answer?)
    }
}

/// Whether both paths lead to one place, by whatever names: what is written to one is then gone from the other.
fn is_one_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some((folder, path.file_name()?.to_owned()))
    };
    let file = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    let same_place = place(one).is_some_and(|place_of_one| place(other) == Some(place_of_one));
    same_place || file(one).is_some_and(|file_of_one| file(other) == Some(file_of_one))
}

/// The read is on the record and the content is there: only its receipt is not.
fn without_receipt(failure: Failure, content: Option<&Path>, request: &str, index: u64) -> Failure {
    let content = content.map_or_else(
        || "the content was written to standard output".to_owned(),
        |path| format!("the content is in {}", path.display()),
    );
    Failure {
        next: format!(
            "`quorate audit receipt {request} --output FILE` collects what the endorsers have of it; {}",
            failure.next
        ),
        ..failure.while_doing(&format!(
            "the read succeeded (log entry {index}), and {content}; its receipt is wanting"
        ))
    }
}

fn source(path: &Path) -> Outcome<(Box<dyn Read + Send>, String)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), "stdin".to_owned()));
    }
    let file = File::open(path).map_err(|error| {
        Failure::error(
            format!("cannot read {}: {error}", path.display()),
            "check the path, or use - for standard input",
        )
    })?;
    let name = PathBuf::from(path)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    Ok((Box::new(file), name.unwrap_or_else(|| "document".to_owned())))
}

/// Misbehaviour that a command survived is still said.
pub(super) fn warn(context: &Context, faults: &[Fault]) {
    for fault in faults {
        context
            .output
            .message(&format!("warning: {}", output::printable(&fault.to_string())));
    }
}

/// The same for programs.
pub(super) fn faults<'a>(faults: impl IntoIterator<Item = &'a Fault>) -> Vec<Value> {
    let value = |fault: &Fault| {
        json!({
            "party": fault.party.to_string(), "check": fault.check, "what": fault.what,
            "evidence": hex::encode(&fault.evidence),
        })
    };
    faults.into_iter().map(value).collect()
}

fn names<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    names
        .into_iter()
        .map(|name| name.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

fn report_value(report: &ReadReport) -> Value {
    let nodes: Vec<Value> = report
        .released_by
        .iter()
        .map(|(index, name)| json!({ "index": index, "name": name.as_str() }))
        .collect();
    let organisations: Vec<&str> = report.approved_by.iter().map(|name| name.as_str()).collect();
    json!({
        "label": report.label.to_string(),
        "approve_id": report.approve_id.to_string(),
        "write_id": report.write_id.to_string(),
        "index": report.index,
        "height": report.height,
        "approved_by": organisations,
        "released_by": nodes,
        "faults": faults(&report.faults),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_known_by_all_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("inner")).unwrap();
        std::os::unix::fs::symlink(path("inner"), path("link-to-inner")).unwrap();
        // Nothing is there yet.
        assert!(is_one_file(&path("x"), &path("inner/../x")));
        assert!(is_one_file(&path("inner/x"), &path("link-to-inner/x")));
        assert!(!is_one_file(&path("x"), &path("y")));
        assert!(!is_one_file(&path("x"), &path("inner/x")));
        std::fs::write(path("x"), b"").unwrap();
        std::fs::write(path("y"), b"").unwrap();
        std::os::unix::fs::symlink(path("x"), path("link")).unwrap();
        assert!(is_one_file(&path("x"), &path("link")));
        assert!(!is_one_file(&path("x"), &path("y")));
    }

    #[test]
    fn whoever_gets_no_receipt_hears_where_the_content_is() {
        let failure = || Failure::error("nobody proves it", "ask again");
        let failure_at = |content| without_receipt(failure(), content, "0a", 7);
        let message = failure_at(Some(Path::new("copy.pdf"))).message;
        assert!(message.contains("the content is in copy.pdf"), "{message}");
        assert!(message.contains("nobody proves it"), "{message}");
        assert!(failure_at(None).message.contains("standard output"));
        assert!(
            failure_at(None)
                .next
                .contains("quorate audit receipt 0a --output")
        );
    }
}
