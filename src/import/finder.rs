//! Which of a source's tenants is meant, where one is wanted: by its name there, by its number, or because it is alone. Pure.

use std::collections::BTreeSet;

use super::{ImportError, SourceTenant};

/// Names that are told of a source with several tenants.
const NAMES: usize = 20;

/// Looks at tenant after tenant. One copy at a time is kept.
pub struct TenantFinder<'f> {
    name: Option<&'f str>,
    /// Digits. Where a name says which one is meant, its copy is only checked against it.
    number: Option<&'f str>,
    found: Option<SourceTenant>,
    meant: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl<'f> TenantFinder<'f> {
    pub fn new(name: Option<&'f str>, number: Option<&'f str>) -> Self {
        Self { name, number, found: None, meant: BTreeSet::new(), others: BTreeSet::new() }
    }

    pub fn look(&mut self, mut tenant: SourceTenant) {
        if matches!(tenant.copy, Err(ImportError::OlderCopy)) {
            return;
        }
        if self.meant.contains(&tenant.name) || self.others.contains(&tenant.name) {
            // The first one may be the newer one, or this.
            tenant.copy = Err(ImportError::TwiceInSource);
        }
        let is_meant = match (self.name, self.number) {
            (Some(name), _) => name == tenant.name,
            // One that is there twice has no number the second time.
            (None, Some(number)) => tenant.number() == Some(number) || self.meant.contains(&tenant.name),
            (None, None) => true,
        };
        let is_first = if is_meant { self.meant.is_empty() } else { self.found.is_none() };
        let names = if is_meant { &mut self.meant } else { &mut self.others };
        names.insert(tenant.name.clone());
        // Of two that are meant, an error counts.
        if is_first || is_meant && tenant.copy.is_err() {
            self.found = Some(tenant);
        }
    }

    /// The one that is meant. One that is alone is meant whatever its number is: what is wrong with it is said then.
    pub fn end(self) -> Result<SourceTenant, ImportError> {
        let several = self.meant.len() > 1;
        let is_it = self.meant.len() == 1 || self.name.is_none() && self.others.len() == 1;
        match self.found {
            _ if several => Err(ImportError::SeveralTenants { names: self.meant.into_iter().take(NAMES).collect() }),
            Some(tenant) if is_it => Ok(tenant),
            None if self.name.is_none() => Err(ImportError::NoCredentials),
            _ => Err(ImportError::NotInSource),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tenants by name and number, in the order of the source: the name, or the error's code.
    fn found(tenants: &[(&str, &str)], name: Option<&str>, number: Option<&str>) -> String {
        let mut finder = TenantFinder::new(name, number);
        for (name, number) in tenants {
            let number = Some((*number).to_owned()).filter(|number| !number.is_empty());
            let damaged = Err(ImportError::NotPaired("me"));
            finder.look(SourceTenant { number, ..SourceTenant::new(*name, damaged) });
        }
        match finder.end() {
            Ok(SourceTenant { copy: Err(error @ ImportError::TwiceInSource), .. }) => error.code().to_owned(),
            Ok(tenant) => tenant.name,
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn one_is_found_by_its_name_its_number_or_because_it_is_alone() {
        let three = [("a:1", "1"), ("b:1", "2"), ("b:2", "2")];
        for (tenants, name, number, expected) in [
            (&three[..1], None, None, "a:1"),
            (&three[..1], None, Some("7"), "a:1"),
            (&three[..1], Some("x"), None, "not_in_source"),
            (&three[..], None, None, "several_tenants"),
            (&three[..], Some("b:2"), None, "b:2"),
            (&three[..], Some("b:2"), Some("1"), "b:2"),
            (&three[..], None, Some("1"), "a:1"),
            (&three[..], None, Some("2"), "several_tenants"),
            (&three[..], None, Some("7"), "not_in_source"),
            (&[("b", "2"), ("a", "1"), ("b", "2")][..], None, Some("1"), "a"),
            (&[("b", "2"), ("a", "1"), ("b", "")][..], None, Some("2"), "twice_in_source"),
            (&[("a", ""), ("a", "")][..], None, None, "twice_in_source"),
            (&[][..], None, None, "no_credentials"),
            (&[][..], Some("a"), None, "not_in_source"),
        ] {
            assert_eq!(found(tenants, name, number), expected, "{tenants:?} {name:?} {number:?}");
        }
    }
}
