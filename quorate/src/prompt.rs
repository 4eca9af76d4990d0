//! Asking a person for a passphrase, without showing it.

use std::path::Path;

use service::Passphrase;

use crate::failure::{Failure, Outcome};

/// The passphrase in the file, or the one that the person at the terminal types; a new one is typed twice.
pub(crate) fn passphrase(
    no_input: bool,
    question: &str,
    twice: bool,
    file: Option<&Path>,
) -> Outcome<Passphrase> {
    if let Some(file) = file {
        return Passphrase::from_file(file).map_err(|error| {
            Failure::error(
                error.to_string(),
                "the file must be readable by you alone (chmod 600) and hold the passphrase",
            )
        });
    }
    if no_input {
        return Err(Failure::error(
            format!("{question}: this needs a person, and --no-input was given"),
            "give the passphrase in a file that only you can read, or leave --no-input out",
        ));
    }
    let typed = ask(question)?;
    if twice && ask("The same again")?.expose() != typed.expose() {
        return Err(Failure::error(
            "the two passphrases differ",
            "run the command again and type the same one twice",
        ));
    }
    Ok(typed)
}

fn ask(question: &str) -> Outcome<Passphrase> {
    let typed = rpassword::prompt_password(format!("{question}: ")).map_err(|error| {
        Failure::error(
            format!("cannot ask at the terminal: {error}"),
            "run the command at a terminal, or give the passphrase in a file that only you can read",
        )
    })?;
    Passphrase::typed(typed.into_bytes())
        .map_err(|error| Failure::error(error.to_string(), "run the command again"))
}
