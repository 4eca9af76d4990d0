//! What is wrong with a node, and what to do: as a tree of checks.

use proto::custody::{Check, CheckLevel, DiagnoseRequest};
use serde_json::json;

use super::connect;
use crate::cli::NodeArgs;
use crate::commands::Context;
use crate::failure::{Failure, Outcome};
use crate::output::printable;

pub(super) async fn run(context: &Context, node: &NodeArgs) -> Outcome {
    let mut operator = connect(context, node)?;
    // A node that is sealed or cannot be reached is diagnosed with that.
    let answer = operator.rpc.diagnose(DiagnoseRequest {}).await;
    let answer = answer.map_err(|status| operator.failed(&status))?;
    let checks = answer.into_inner().checks;
    let checks_json = checks.iter().map(|check| {
        json!({
            "name": check.name, "part_of": check.part_of, "level": word(check.level()), "found": check.found,
            "advice": check.advice,
        })
    });
    let value = json!({ "node": node.node, "checks": checks_json.collect::<Vec<_>>() });
    context.output.result(&value, &tree(&node.node, &checks))?;
    let wrong: Vec<&str> = checks
        .iter()
        .filter(|check| check.level() != CheckLevel::Ok)
        .map(|check| check.name.as_str())
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::no(
        "diagnosis",
        format!("crypto node {} is not well: {}", node.node, wrong.join(", ")),
        "do what stands beside each",
    ))
}

fn word(level: CheckLevel) -> &'static str {
    match level {
        CheckLevel::Ok => "ok",
        CheckLevel::Warn => "warn",
        // What this program does not know is not well.
        CheckLevel::Error | CheckLevel::Unspecified => "error",
    }
}

fn tree(node: &str, checks: &[Check]) -> String {
    let mut lines = vec![node.to_owned()];
    for check in checks {
        let branch = if check.part_of.is_empty() { "" } else { "   " };
        let name = printable(&check.name);
        let level = word(check.level());
        lines.push(format!(
            "├─ {branch}{name:<13} {level:<5} {}",
            printable(&check.found)
        ));
        if !check.advice.is_empty() {
            lines.push(format!("│  {branch}              {}", printable(&check.advice)));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, part_of: &str, level: CheckLevel, advice: &str) -> Check {
        Check {
            name: name.into(),
            part_of: part_of.into(),
            level: level.into(),
            found: "found".into(),
            advice: advice.into(),
        }
    }

    #[test]
    fn p17_the_tree_says_what_to_do_beside_what_is_wrong() {
        let checks = [
            check("key", "", CheckLevel::Ok, ""),
            check("quorum", "key", CheckLevel::Error, "bring \u{7}members back"),
            check("new", "", CheckLevel::Unspecified, ""),
        ];
        let text = tree("crypto-1", &checks);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(
            lines[1].starts_with("├─ key") && lines[1].contains(" ok "),
            "{text}"
        );
        assert!(
            lines[2].starts_with("├─    quorum") && lines[2].contains(" error "),
            "{text}"
        );
        assert!(
            lines[3].contains("members back") && !text.contains('\u{7}'),
            "{text}"
        );
        assert!(lines[4].contains(" error "), "{text}");
    }
}
