//! The grammar of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keys that no one holds alone: wrap, approve on a ledger, re-encrypt by quorum, prove it.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, arg_required_else_help = true)]
#[command(
    after_help = "Exit status: 0 done; 1 an error; 2 the answer is no (denied, rejected, invalid).\n\
    Start with `quorate demo`, then `quorate dev`."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Print JSON on standard output instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The profile to use [default: profile.toml in $QUORATE_HOME or ~/.quorate]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) profile: Option<PathBuf>,
    /// Never ask; fail instead of waiting for an answer
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
}

/// One variant per verb.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole main job once on this machine and say what each step proves
    Demo(DemoArgs),
    /// Start a cluster on this machine and keep it running
    Dev(DevArgs),
    /// Show how the cluster of the profile is doing
    Status,
    /// Tenants: the companies or teams that own documents
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Users of a tenant, each with a key of their own
    #[command(subcommand)]
    User(UserCommand),
    /// Datasets: documents that share owners, writers and readers
    #[command(subcommand)]
    Dataset(DatasetCommand),
    /// Give a user a role in a dataset
    Grant(GrantArgs),
    /// Take a role in a dataset away from a user
    Revoke(GrantArgs),
    /// Encrypt a file and record it as the next version of a document
    Write(WriteArgs),
    /// Read a document: approved on the ledger, re-encrypted by quorum, verified, decrypted
    Read(ReadArgs),
    /// Show what the ledger holds about a document version; decrypts nothing
    Inspect(InspectArgs),
    /// Have a document's key never approved again; its history stays on the record
    Erase(EraseArgs),
    /// The record of who did what
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The organisations' endorsers: who they are, and how they change
    #[command(subcommand)]
    Endorser(EndorserCommand),
    /// For the operators of crypto nodes
    #[command(subcommand)]
    Node(NodeCommand),
    /// A crypto node's share in the hands of custodians, and back
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Measure the cluster
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Run one daemon in this process
    #[command(hide = true)]
    Daemon(DaemonArgs),
}

/// `quorate demo`
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Keep the cluster's directory afterwards, to look at it
    #[arg(long)]
    pub(crate) keep: bool,
}

/// `quorate dev`
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Where the cluster keeps its data [default: dev in $QUORATE_HOME or ~/.quorate]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Delete the cluster first, with its profile and the keys of its administrator and auditor; keys of tenants and users are
    /// moved aside
    #[arg(long)]
    pub(crate) reset: bool,
    /// Do not ask before deleting
    #[arg(long, requires = "reset")]
    pub(crate) yes: bool,
}

/// `quorate endorser …`
#[derive(Debug, Subcommand)]
pub(crate) enum EndorserCommand {
    /// Show who decides on the chain, as the endorsers of each epoch have handed over since the genesis
    List,
    /// Make the keys of a new endorser on this machine; the chain is not asked
    Keys {
        /// The organisation that it is of
        organisation: String,
        /// The folder for the sealed keys and public.toml
        #[arg(long, value_name = "DIR")]
        keys: PathBuf,
        /// The endorser's future data directory
        #[arg(long, value_name = "DIR")]
        directory: PathBuf,
        /// A file whose content seals the keys
        #[arg(long, value_name = "FILE")]
        passphrase_file: PathBuf,
    },
    /// Confirm that an organisation joins with its endorser, as an organisation's administrator
    Add {
        /// The new endorser's public.toml
        #[arg(value_name = "FILE")]
        public: PathBuf,
        /// The key of the new organisation's administrator, hexadecimal
        #[arg(long, value_name = "KEY")]
        admin: String,
        /// Where the new endorser listens to its fellows, host:port
        #[arg(long, value_name = "ADDRESS")]
        address: String,
    },
    /// Confirm that an organisation leaves with its endorser, as an organisation's administrator
    Remove {
        /// The organisation
        organisation: String,
    },
    /// Confirm that an organisation's endorser has another key or address, as an organisation's administrator
    Replace {
        /// The public.toml with the endorser's keys
        #[arg(value_name = "FILE")]
        public: PathBuf,
        /// Where the endorser listens to its fellows, host:port
        #[arg(long, value_name = "ADDRESS")]
        address: String,
    },
}

/// `quorate tenant …`
#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Create a tenant and the key of its administrator
    Create {
        /// The tenant's name
        tenant: String,
    },
    /// Give the tenant's administration to a new key, made in this keyring; the old one is retired for ever
    Rotate {
        /// The tenant's name
        tenant: String,
    },
}

/// `quorate user …`
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Create a user of a tenant
    Create {
        /// The tenant's name
        tenant: String,
        /// The user's name
        user: String,
    },
    /// Give a user a new key, made in this keyring; the old one is retired for ever
    Rotate {
        /// The tenant's name
        tenant: String,
        /// The user's name
        user: String,
        /// Sign as the tenant's administrator, as when the user's key is lost
        #[arg(long)]
        by_admin: bool,
    },
    /// Take a user's key away: it reads and writes nothing from the next block on
    Revoke {
        /// The tenant's name
        tenant: String,
        /// The user's name
        user: String,
    },
}

/// `quorate dataset …`
#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Create a dataset
    Create {
        /// TENANT/DATASET
        dataset: String,
        /// A user who may grant and revoke (repeat for more)
        #[arg(long, value_name = "USER", required = true)]
        owner: Vec<String>,
        /// A user who may write documents (repeat for more)
        #[arg(long, value_name = "USER")]
        writer: Vec<String>,
        /// A user who may read documents (repeat for more)
        #[arg(long, value_name = "USER")]
        reader: Vec<String>,
    },
    /// Show a dataset and who has which role in it, now or as it was
    Show {
        /// TENANT/DATASET
        dataset: String,
        /// As it was after the block at this height [default: now]
        #[arg(long, value_name = "N")]
        height: Option<u64>,
    },
    /// Change how a dataset treats its documents from now on; by an owner
    Configure(ConfigureArgs),
    /// Let documents be written and read again
    Activate(ActivityArgs),
    /// Let no document be written or read
    Deactivate(ActivityArgs),
}

/// `quorate dataset configure`
#[derive(Debug, Args)]
pub(crate) struct ConfigureArgs {
    /// TENANT/DATASET
    pub(crate) dataset: String,
    /// Where encrypted objects are kept: small ones on the chain, or all outside
    #[arg(long, value_enum)]
    pub(crate) storage: Option<StorageArg>,
    /// Whether roles are asked for; without, every user of the tenant is writer and reader
    #[arg(long, value_enum)]
    pub(crate) permissions: Option<SwitchArg>,
    /// Let nobody change the configuration any more
    #[arg(long)]
    pub(crate) fix: bool,
    /// The owner who signs [default: the tenant's only user in the keyring]
    #[arg(long = "as", value_name = "USER")]
    pub(crate) signer: Option<String>,
}

/// Where encrypted objects are kept.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StorageArg {
    /// Small objects on the chain
    Chain,
    /// No object on the chain
    Outside,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SwitchArg {
    /// On
    On,
    /// Off
    Off,
}

/// `quorate dataset activate` and `deactivate`
#[derive(Debug, Args)]
pub(crate) struct ActivityArgs {
    /// TENANT/DATASET
    pub(crate) dataset: String,
    /// Sign as this user, an owner of the dataset [default: the tenant's administrator]
    #[arg(long = "as", value_name = "USER")]
    pub(crate) signer: Option<String>,
}

/// `quorate erase`
#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// TENANT/DATASET/DOCUMENT
    pub(crate) document: String,
    /// Only this version; the others stay [default: the whole document, which then ends]
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<std::num::NonZeroU64>,
    /// Do not ask: what is erased is never read again
    #[arg(long)]
    pub(crate) yes: bool,
    /// Sign as this user, an owner of the dataset [default: the tenant's administrator]
    #[arg(long = "as", value_name = "USER")]
    pub(crate) signer: Option<String>,
}

/// A role in a dataset.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleArg {
    /// May grant and revoke
    Owner,
    /// May write documents
    Writer,
    /// May read documents
    Reader,
}

/// `quorate grant` and `quorate revoke`
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// TENANT/DATASET
    pub(crate) dataset: String,
    /// The role
    #[arg(value_enum)]
    pub(crate) role: RoleArg,
    /// The user
    pub(crate) user: String,
    /// Sign as this user, an owner of the dataset [default: the tenant's administrator]
    #[arg(long = "as", value_name = "USER")]
    pub(crate) signer: Option<String>,
}

/// `quorate write`
#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    /// TENANT/DATASET/DOCUMENT
    pub(crate) document: String,
    /// The file to write; `-` is standard input
    pub(crate) file: PathBuf,
    /// The user who writes [default: the tenant's only user in the keyring]
    #[arg(long = "as", value_name = "USER")]
    pub(crate) signer: Option<String>,
    /// Media type to keep, sealed, with the document
    #[arg(long, value_name = "TYPE", default_value = "application/octet-stream")]
    pub(crate) content_type: String,
}

/// `quorate read`
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// TENANT/DATASET/DOCUMENT
    pub(crate) document: String,
    /// Where to put the content [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the output file and the receipt if they exist
    #[arg(long)]
    pub(crate) force: bool,
    /// Write the receipt of the read, denied or not, to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) receipt: Option<PathBuf>,
    /// Which version [default: the latest]
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<u64>,
    /// The user who reads [default: the tenant's only user in the keyring]
    #[arg(long = "as", value_name = "USER")]
    pub(crate) signer: Option<String>,
    /// Why; goes on the record
    #[arg(long, default_value = "")]
    pub(crate) purpose: String,
}

/// `quorate inspect`
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// TENANT/DATASET/DOCUMENT
    pub(crate) document: String,
    /// Which version [default: the latest]
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<u64>,
}

/// `quorate audit …`
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Print the log, verified on the way
    Log(AuditLogArgs),
    /// Find transactions, each proven to be in the log
    Search(AuditSearchArgs),
    /// Write what matches as table, json, csv or ndjson
    Export(AuditExportArgs),
    /// Follow the chain: exit status 2 as soon as it forks, is rewritten or falls silent
    Watch(AuditWatchArgs),
    /// Keep a verifiable copy of the whole log in a directory, line by line; every run reads all of it again
    Mirror(AuditMirrorArgs),
    /// Compare crypto nodes' journals with the chain: exit status 2 when a release, an approval or a statement is without
    /// its counterpart
    Reconcile(AuditReconcileArgs),
    /// Print the newest checkpoint of the log, signed by a quorum of the endorsers (C2SP tlog-checkpoint)
    Checkpoint,
    /// Print one transaction with its proof, verified
    Get {
        /// The transaction's id
        tx_id: String,
    },
    /// Write the receipt of a recorded read, as far as the endorsers have its parts
    Receipt(AuditReceiptArgs),
    /// Write the roots that receipts are verified against, as the profile pins them
    Roots(AuditRootsArgs),
    /// Verify a read receipt offline: exit status 0 valid, 2 invalid, 1 one cannot tell
    Verify(AuditVerifyArgs),
}

/// What is looked for; whatever is not said restricts nothing
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// A part of the log: TENANT, TENANT/DATASET or TENANT/DATASET/DOCUMENT
    #[arg(value_name = "WHERE")]
    pub(crate) within: Option<String>,
    /// What names this user of the tenant, and what this user has signed
    #[arg(long, requires = "within")]
    pub(crate) user: Option<String>,
    /// The kind of transaction: request_read, write_document, grant and so on
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// What became of it: applied, approved, denied, rejected, pending, permitted, or the code of a reason
    #[arg(long)]
    pub(crate) verdict: Option<String>,
    /// From this time on: 2026-11-21, 2026-11-21T08:00:00Z, or 36h, 7d ago
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

/// `quorate audit search`
#[derive(Debug, Args)]
pub(crate) struct AuditSearchArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// At most so many transactions
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    /// From this entry of the log on
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub(crate) from: u64,
}

/// How an export is written
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// For people
    Table,
    /// One array of objects
    Json,
    /// RFC 4180, with a headline
    Csv,
    /// One object in each line
    Ndjson,
}

/// `quorate audit export`
#[derive(Debug, Args)]
pub(crate) struct AuditExportArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// How it is written [default: ndjson, or json with --json]
    #[arg(long, value_enum)]
    pub(crate) format: Option<ExportFormat>,
    /// Where to write it [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

/// `quorate audit watch`
#[derive(Debug, Args)]
pub(crate) struct AuditWatchArgs {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) interval: u64,
    /// Seconds without a new block, or without any answer that holds, before the chain counts as silent
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) silent: u64,
    /// Look once and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Where the checkpoints are kept that each look must continue [default: watch, beside the profile]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// `quorate audit mirror`
#[derive(Debug, Args)]
pub(crate) struct AuditMirrorArgs {
    /// The directory of the copy
    pub(crate) dir: PathBuf,
    /// Only read again what is there, offline, against the roots
    #[arg(long)]
    pub(crate) check: bool,
    /// The pinned roots, for --check [default: roots.json in $QUORATE_HOME or ~/.quorate]
    #[arg(long, value_name = "FILE", requires = "check")]
    pub(crate) roots: Option<PathBuf>,
}

/// `quorate audit reconcile`
#[derive(Debug, Args)]
pub(crate) struct AuditReconcileArgs {
    /// Copies of the journals: the file `journal` in the data directory of each crypto node
    #[arg(required = true, value_name = "JOURNAL")]
    pub(crate) journals: Vec<PathBuf>,
    /// When the first of the copies was made: what was stated later may be missing in them
    #[arg(long, value_name = "WHEN")]
    pub(crate) copied_at: Option<String>,
}

/// `quorate audit receipt`
#[derive(Debug, Args)]
pub(crate) struct AuditReceiptArgs {
    /// The id of the read request
    pub(crate) tx_id: String,
    /// Where to write it
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

/// `quorate audit roots`
#[derive(Debug, Args)]
pub(crate) struct AuditRootsArgs {
    /// Where to write them [default: roots.json in $QUORATE_HOME or ~/.quorate]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
}

/// `quorate audit verify`
#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArgs {
    /// The receipt
    pub(crate) file: PathBuf,
    /// The pinned roots [default: roots.json in $QUORATE_HOME or ~/.quorate]
    #[arg(long, value_name = "FILE")]
    pub(crate) roots: Option<PathBuf>,
    /// Show every step
    #[arg(long)]
    pub(crate) explain: bool,
}

/// `quorate audit log`
#[derive(Debug, Args)]
pub(crate) struct AuditLogArgs {
    /// Only read requests and their releases
    #[arg(long)]
    pub(crate) reads: bool,
    /// Only the last N lines (all are verified)
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<usize>,
}

/// `quorate node …`
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// What a crypto node knows: seat, key, ceremony, journal
    Status(NodeArgs),
    /// What is wrong with a crypto node and its committee, and what to do; exit status 2 when something is
    Diagnose(NodeArgs),
    /// Propose a ceremony: a key generation, a refresh, a resharing, a repair
    Propose(ProposeArgs),
    /// Consent to a proposed ceremony, as a node that has no share yet
    Join(CeremonyArgs),
    /// Consent to a proposed ceremony, as a node that holds a share
    Accept(CeremonyArgs),
    /// Refuse a proposed ceremony
    Reject(CeremonyArgs),
    /// Begin a resharing that this node has proposed, without waiting for old members that have not consented
    Execute {
        #[command(flatten)]
        ceremony: CeremonyArgs,
        /// Old members that are not to deal although they have consented
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        without: Vec<String>,
    },
    /// Give a ceremony up
    Abort(CeremonyArgs),
    /// Save the committee's signed manifest, for another member who restores a backup
    Committee {
        #[command(flatten)]
        node: NodeArgs,
        /// Where to put it; must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Confirm a committee to the chain, as an organisation's administrator; enough organisations make it the present one
    Publish {
        /// The report of the ceremony that it came from, as `quorate node report` has saved it
        #[arg(value_name = "FILE")]
        report: PathBuf,
    },
    /// Save how the newest ceremony ended, or check such a report offline
    Report(ReportArgs),
    /// Destroy the share of the epoch before, without waiting any longer for seats that never say that they have the new one
    Retire {
        #[command(flatten)]
        node: NodeArgs,
        /// The epoch that is to end, as the node's status names it
        epoch: u32,
    },
    /// Give a node that started sealed the passphrase of its share
    Unseal(UnsealArgs),
    /// Change what seals a stopped node's secrets; needs no ceremony
    Reseal(ResealArgs),
}

/// `quorate node report`
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// The node's name in the profile
    #[arg(
        long,
        value_name = "NAME",
        requires = "out",
        required_unless_present = "check"
    )]
    pub(crate) node: Option<String>,
    /// Where to put the report; must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Check this report against the nodes of the profile, and show it; asks no node
    #[arg(long, value_name = "FILE", conflicts_with_all = ["node", "out"])]
    pub(crate) check: Option<PathBuf>,
}

/// A node, and one of its ceremonies.
#[derive(Debug, clap::Args)]
pub(crate) struct CeremonyArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// The ceremony's id, or how the id of the one that the node's status shows begins, at least 8 digits
    pub(crate) ceremony: String,
}

/// `quorate node propose`
#[derive(Debug, clap::Args)]
pub(crate) struct ProposeArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) what: Proposed,
    /// How many nodes are to be needed to use the key [default of a resharing: as many as now]
    #[arg(long, short = 't', required_unless_present_any = ["refresh", "reshare", "repair"])]
    pub(crate) threshold: Option<u16>,
    /// The nodes that are to hold shares, in the order of their seats; in a repair those that help
    /// [default: all that are configured; the present members; this node and the first others]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) members: Vec<String>,
}

/// What is proposed; a key generation when nothing is said.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct Proposed {
    /// Give the same members new shares of the same key
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Hand the key over to other members, or to another threshold
    #[arg(long)]
    pub(crate) reshare: bool,
    /// Give a member that has lost it its share again
    #[arg(long, value_name = "NAME")]
    pub(crate) repair: Option<String>,
}

/// `quorate backup …`
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Make a custodian's key, or the key of whoever restores; prints its public key
    Key {
        /// Where to keep the key, sealed
        key: PathBuf,
        #[command(flatten)]
        seal: KeySeal,
    },
    /// Back up a stopped node's share to custodians
    Make {
        /// The node's configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// A custodian and their public key (repeat for each)
        #[arg(long, value_name = "NAME=KEY", required = true)]
        custodian: Vec<String>,
        /// How many custodians are needed to restore
        #[arg(long, short = 't')]
        threshold: u16,
        /// The directory for the backup and the custodians' parts; must not exist
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Read the operator's passphrase from this file [default: ask at the terminal]
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Show what a backup is of and who its custodians are
    Inspect {
        /// The backup
        backup: PathBuf,
    },
    /// As a custodian: encrypt one's part to whoever restores or drills
    HandOver {
        /// The backup that one agrees to open
        #[arg(long, value_name = "FILE")]
        backup: PathBuf,
        /// One's part of it
        #[arg(long, value_name = "FILE")]
        part: PathBuf,
        /// One's key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        seal: KeySeal,
        /// The public key of whoever restores, compared by telephone
        #[arg(long, value_name = "KEY")]
        to: String,
        /// Where to put the part for them; must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Prove that a backup would work; writes nothing
    Drill(OpenArgs),
    /// Put a share back into a stopped node
    Restore {
        #[command(flatten)]
        open: OpenArgs,
        /// The node's configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The committee's present manifest, from another member's `quorate node committee`
        #[arg(long, value_name = "FILE")]
        committee: Option<PathBuf>,
        /// Read the operator's passphrase from this file [default: ask at the terminal]
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

/// What seals a key file.
#[derive(Debug, Args)]
pub(crate) struct KeySeal {
    /// Read the key's passphrase from this file [default: ask at the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_passphrase_file: Option<PathBuf>,
}

/// What opens a backup.
#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// The backup
    #[arg(long, value_name = "FILE")]
    pub(crate) backup: PathBuf,
    /// The key that the custodians encrypted their parts to
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) seal: KeySeal,
    /// What the custodians handed over
    #[arg(value_name = "PART", required = true)]
    pub(crate) parts: Vec<PathBuf>,
}

/// `quorate node unseal`
#[derive(Debug, Args)]
pub(crate) struct UnsealArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// Set the node's first passphrase; it is asked for twice
    #[arg(long)]
    pub(crate) first: bool,
    /// Read the passphrase from this file, which nobody else may use [default: ask at the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// `quorate node reseal`
#[derive(Debug, Args)]
pub(crate) struct ResealArgs {
    /// The stopped node's configuration, with the seals that it has
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The same configuration, with the seals that it is to have
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// Read the operator's old passphrase from this file [default: ask at the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) old_passphrase_file: Option<PathBuf>,
    /// Read the operator's new passphrase from this file [default: ask at the terminal, twice]
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
}

/// Which crypto node.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node's name in the profile
    #[arg(long, value_name = "NAME")]
    pub(crate) node: String,
}

/// `quorate bench …`
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Complete authorised reads on a cluster of processes on this machine
    Reads(BenchArgs),
    /// Searches, proofs, receipts, a restart, memory and disk of an endorser with a long chain, which is generated
    Ledger(BenchLedgerArgs),
    /// Key generations and resharings of committees of several sizes, and what reads notice of them
    Ceremonies(CeremoniesArgs),
}

/// `quorate bench ledger`
#[derive(Debug, Args)]
pub(crate) struct BenchLedgerArgs {
    /// How many reads are on the chain
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(20..=100_000_000))]
    pub(crate) reads: u64,
    #[command(flatten)]
    pub(crate) place: BenchPlace,
}

/// `quorate bench ceremonies`
#[derive(Debug, Args)]
pub(crate) struct CeremoniesArgs {
    /// How many crypto nodes; a majority of them is needed
    #[arg(long, value_delimiter = ',', default_values_t = [5, 16, 32], value_parser = clap::value_parser!(u16).range(3..=64))]
    pub(crate) sizes: Vec<u16>,
    /// How many resharings of each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) rounds: u16,
    #[command(flatten)]
    pub(crate) place: BenchPlace,
}

/// `quorate bench reads`
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// How long the phase with many readers lasts
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// How many readers at once
    #[arg(long, default_value_t = 96, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub(crate) readers: u64,
    /// Submit this many transactions before memory is measured
    #[arg(long, default_value_t = 0)]
    pub(crate) transactions: u64,
    #[command(flatten)]
    pub(crate) place: BenchPlace,
}

/// Where a benchmark puts what it writes, in a directory of its own that it removes.
#[derive(Debug, Default, Args)]
pub(crate) struct BenchPlace {
    /// A directory on the disk that is to be measured: /tmp may be memory, where nothing is ever synced
    /// [default: $TMPDIR, or /tmp]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// `quorate daemon`
#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {
    /// Which daemon
    #[arg(value_enum)]
    pub(crate) kind: DaemonKind,
    /// Its configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Stop when standard input closes, that is when the parent process ends
    #[arg(long)]
    pub(crate) exit_with_parent: bool,
}

/// The three daemons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DaemonKind {
    /// Guards one share of the custody key
    CryptoNode,
    /// Replicates the golden record and approves
    LedgerEndorser,
    /// Collects and combines shares
    Coordinator,
}

impl DaemonKind {
    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CryptoNode => "crypto-node",
            Self::LedgerEndorser => "ledger-endorser",
            Self::Coordinator => "coordinator",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }
}
