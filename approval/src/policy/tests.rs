use super::*;
use proptest::prelude::*;

fn policy(text: &str) -> Policy {
    text.parse().unwrap()
}

fn set(names: &[&str]) -> BTreeSet<Name> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn refused(text: &str) -> PolicyError {
    text.parse::<Policy>().unwrap_err()
}

#[test]
fn operators_mean_what_they_say() {
    for (text, approving, holds) in [
        ("a", &["a"][..], true),
        ("a", &["b"], false),
        ("a", &[], false),
        ("AND(a, b)", &["a", "b", "c"], true),
        ("AND(a, b)", &["a"], false),
        ("OR(a, b)", &["b"], true),
        ("OR(a, b)", &["c"], false),
        ("OUTOF(2, a, b, c)", &["a", "c"], true),
        ("OUTOF(2, a, b, c)", &["b"], false),
        ("OUTOF(3, a:2, b, c)", &["a", "b"], true),
        ("OUTOF(3, a:2, b, c)", &["b", "c"], false),
        ("AND(a, OUTOF(2, b, c, OR(d, e)))", &["a", "c", "e"], true),
        ("AND(a, OUTOF(2, b, c, OR(d, e)))", &["a", "d", "e"], false),
        ("OR(AND(a, b), AND(b, c))", &["b", "c"], true),
    ] {
        assert_eq!(
            policy(text).evaluate(&set(approving)),
            holds,
            "{text} by {approving:?}"
        );
    }
}

#[test]
fn p11_nobody_counts_twice() {
    assert_eq!(
        refused("OUTOF(2, a, a)"),
        PolicyError::CountedTwice("a".parse().unwrap())
    );
    assert_eq!(
        refused("OUTOF(2, a, b, OR(a, c))"),
        PolicyError::CountedTwice("a".parse().unwrap())
    );
    assert_eq!(
        refused("OUTOF(2, OUTOF(1, a), AND(b, a))"),
        PolicyError::CountedTwice("a".parse().unwrap())
    );
}

#[test]
fn what_cannot_be_satisfied_is_refused() {
    assert_eq!(
        refused("OUTOF(3, a, b)"),
        PolicyError::Unsatisfiable {
            needed: 3,
            available: 2
        }
    );
    assert_eq!(
        refused("OUTOF(4, a:2, b)"),
        PolicyError::Unsatisfiable {
            needed: 4,
            available: 3
        }
    );
}

#[test]
fn numbers_are_positive_plain_and_bounded() {
    for bad in [
        "OUTOF(0, a)",
        "OUTOF(01, a)",
        "OUTOF(-1, a)",
        "OUTOF(+1, a)",
        "OUTOF(x, a)",
        "OUTOF(1, a:0)",
        "OUTOF(1, a:1001)",
    ] {
        assert!(matches!(refused(bad), PolicyError::Number(_)), "{bad}");
    }
    assert!(matches!(refused("OUTOF(99999999999, a)"), PolicyError::Number(6)));
    assert!("OUTOF(1000, a:1000)".parse::<Policy>().is_ok());
}

#[test]
fn malformed_texts_are_refused() {
    for bad in [
        "",
        " ",
        "AND",
        "AND(",
        "AND()",
        "AND(a",
        "AND(a,)",
        "AND(a b)",
        "AND(a))",
        "a b",
        "a,b",
        "a:2",
        "OR(a:2)",
        "OUTOF(1)",
        "OUTOF(a, 1)",
        "NOT(a)",
        "and(a, b)",
        "(a)",
        "AND (a)(b)",
        "a/b",
        "é",
        "AND(a,\u{a0}b)",
    ] {
        let parsed = bad.parse::<Policy>();
        // The bare word AND is a name like any other.
        assert!(parsed.is_err() || bad == "AND", "{bad:?} gave {parsed:?}");
    }
    let expected = |expected, position| PolicyError::Expected { expected, position };
    assert_eq!(refused("OUTOF(1)"), expected("a comma", 7));
    assert_eq!(refused("AND(a,)"), expected("a name", 6));
    assert_eq!(refused("AND(a; b)"), PolicyError::Name("a;".to_owned()));
    assert_eq!(
        refused("NOT(a)"),
        PolicyError::Expected {
            expected: "AND, OR or OUTOF",
            position: 0
        }
    );
}

#[test]
fn size_and_depth_are_bounded() {
    let nested = |depth: usize| format!("{}a{}", "AND(".repeat(depth - 1), ")".repeat(depth - 1));
    assert!(nested(MAX_DEPTH).parse::<Policy>().is_ok());
    assert_eq!(refused(&nested(MAX_DEPTH + 1)), PolicyError::TooDeep);
    assert_eq!(refused(&nested(800)), PolicyError::TooDeep);
    let wide = |names: usize| format!("OR({})", vec!["a"; names].join(","));
    assert!(wide(MAX_TERMS - 1).parse::<Policy>().is_ok());
    assert_eq!(refused(&wide(MAX_TERMS)), PolicyError::TooManyTerms);
    assert_eq!(refused(&" ".repeat(MAX_TEXT + 1)), PolicyError::TooLong);
}

#[test]
fn there_is_one_form_for_printing() {
    assert_eq!(
        policy(" OUTOF( 2 ,a , b:1,c:3 ,AND( d ,e ) ) ").to_string(),
        "OUTOF(2, a, b, c:3, AND(d, e))"
    );
    let names: Vec<Name> = set(&["a", "b", "c"]).into_iter().collect();
    assert_eq!(
        Policy::out_of(2, &names).unwrap().to_string(),
        "OUTOF(2, a, b, c)"
    );
    assert!(Policy::out_of(1, []).is_err());
}

#[test]
fn an_explanation_shows_every_term() {
    let text = policy("AND(a, OUTOF(2, b:2, c))").explain(&set(&["b", "x"]));
    assert_eq!(
        text,
        "[ ] all of\n  [ ] a\n  [x] 2 needed, 2 reached, of\n    [x] b (counts 2)\n    [ ] c"
    );
}

fn any_expression() -> impl Strategy<Value = Expression> {
    let name = "[a-e]{1,2}".prop_map(|name| Expression::Organisation(name.parse().unwrap()));
    name.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expression::And),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Expression::Or),
            (1u32..5, prop::collection::vec((inner, 1u32..4), 1..4)).prop_map(|(needed, items)| {
                let items = items
                    .into_iter()
                    .map(|(expression, weight)| Item { expression, weight })
                    .collect();
                Expression::OutOf { needed, items }
            }),
        ]
    })
}

#[test]
fn the_fewest_organisations_are_counted_by_their_weights() {
    let fewest = |text: &str| text.parse::<Policy>().unwrap().fewest();
    assert_eq!(fewest("a"), 1);
    assert_eq!(fewest("AND(a, b, OR(AND(c, d), e))"), 3);
    assert_eq!(fewest("OUTOF(3, a, b, c, d)"), 3);
    assert_eq!(fewest("OUTOF(5, a:3, b:2, c, d, e, f)"), 2);
    // Two heavy items of two organisations each, or five light ones.
    assert_eq!(fewest("OUTOF(5, AND(a, b):3, AND(c, d):2, e, f, g, h, i)"), 4);
    // Whoever occurs twice is one organisation all the same.
    assert_eq!(fewest("AND(AND(a, b), AND(a, b))"), 2);
}

proptest! {
    #[test]
    fn printing_and_parsing_are_inverse(expression in any_expression()) {
        let printed = Policy(expression.clone()).to_string();
        match printed.parse::<Policy>() {
            Ok(parsed) => prop_assert_eq!(parsed.0, expression),
            // A generated OUTOF may be one that nobody may write.
            Err(error) => prop_assert!(
                matches!(error, PolicyError::CountedTwice(_) | PolicyError::Unsatisfiable { .. }),
                "{} gave {}", printed, error
            ),
        }
    }

    #[test]
    fn more_approvals_never_hurt(expression in any_expression(), some in prop::collection::btree_set("[a-e]{1,2}", 0..6), more in "[a-e]{1,2}") {
        let policy = Policy(expression);
        let mut approving: BTreeSet<Name> = some.iter().map(|name| name.parse().unwrap()).collect();
        let before = policy.evaluate(&approving);
        approving.insert(more.parse().unwrap());
        prop_assert!(!before || policy.evaluate(&approving));
    }

    #[test]
    fn any_text_parses_or_is_refused(text in "[a-c(),:0-9 ANDORUTF]{0,60}") {
        if let Ok(policy) = text.parse::<Policy>() {
            prop_assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
        }
    }
}
