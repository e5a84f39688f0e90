//! The mapping files that come with the program; a file of one's own does the same.

use super::mapping::{Mapping, MappingError};

/// Name and text of each.
pub const PROVIDED: [(&str, &str); 5] = [
    ("alipay", include_str!("../../mappings/alipay.toml")),
    ("wechat", include_str!("../../mappings/wechat.toml")),
    ("stripe", include_str!("../../mappings/stripe.toml")),
    ("generic", include_str!("../../mappings/generic.toml")),
    ("orders", include_str!("../../mappings/orders.toml")),
];

/// A mapping that comes with the program, by its name.
///
/// # Errors
/// Never for those that are there: a test reads all of them.
#[must_use]
pub fn provided(name: &str) -> Option<Result<Mapping, MappingError>> {
    PROVIDED.iter().find(|(known, _)| *known == name).map(|(_, text)| Mapping::parse(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mapping_that_comes_with_the_program_holds_together() {
        for (name, _) in PROVIDED {
            let mapping = provided(name).unwrap().unwrap();
            assert_eq!(mapping.provider, name);
        }
        assert!(provided("unknown").is_none());
    }
}
