//! Which mail is held when it comes: a plain function of the rules and the envelope.

use mail_common::config::HoldRule;
use mail_proto::address::{Address, ReversePath};
use mail_proto::smtp::Recipient;

/// The place in `mtad.hold` of the first rule that this mail is held by.
pub(crate) fn rule(
    rules: &[HoldRule],
    sender: &ReversePath,
    recipients: &[Recipient],
) -> Option<usize> {
    if rules.is_empty() {
        return None;
    }
    let sender = match &sender.0 {
        Some(address) => address.to_string(),
        None => "<>".to_owned(),
    };
    rules.iter().position(|rule| {
        let is_from = rule.sender.as_ref().is_none_or(|pattern| pattern.matches(&sender));
        is_from && recipients.iter().any(|recipient| is_to(rule, &recipient.address))
    })
}

fn is_to(rule: &HoldRule, recipient: &Address) -> bool {
    let address = rule.recipient.as_ref();
    let domain = rule.domain.as_ref();
    address.is_none_or(|pattern| pattern.matches(&recipient.to_string()))
        && domain.is_none_or(|pattern| pattern.matches(recipient.domain().as_str()))
}

#[allow(clippy::unwrap_used)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let rule_of = |[sender, recipient, domain]: [&str; 3]| HoldRule {
            sender: sender.parse().ok(),
            recipient: recipient.parse().ok(),
            domain: domain.parse().ok(),
        };
        let spam = ["*@spam.example", "", ""];
        let both = ["ann@*", "*@example.net", ""];
        let domain = ["", "", "example.net"];
        let bounces = ["<>", "bob@*", "example.net"];
        let table: [(&[[&str; 3]], _, &[&str], _); 9] = [
            (&[], "<eve@spam.example>", &["bob@example.net"], None),
            (&[spam], "<eve@spam.example>", &["bob@example.net"], Some(0)),
            (&[spam], "<ann@example.org>", &["bob@example.net"], None),
            (&[spam], "<>", &["bob@example.net"], None),
            (&[spam, domain], "<x@y.z>", &["a@b.c", "bob@EXAMPLE.net"], Some(1)),
            (&[both], "<ann@example.org>", &["a@b.c"], None),
            (&[both], "<ann@example.org>", &["a@b.c", "bob@example.net"], Some(0)),
            (&[bounces], "<>", &["bob@example.net"], Some(0)),
            // Of two recipients each does one half.
            (&[bounces], "<>", &["bob@b.c", "ann@example.net"], None),
        ];
        for (rules, sender, to, expected) in table {
            let rules: Vec<_> = rules.iter().map(|&rule| rule_of(rule)).collect();
            let (sender, _) = ReversePath::from_path(sender).unwrap();
            let to: Vec<_> = to.iter().map(|to| Recipient::new(to.parse().unwrap())).collect();
            assert_eq!(rule(&rules, &sender, &to), expected, "{rules:?} {sender} {to:?}");
        }
    }
}
