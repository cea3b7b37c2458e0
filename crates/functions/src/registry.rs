//! The list of all functions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use boathouse_spec::Result;

use crate::{
    AggregateCall, Call, GeneratorCall, HigherOrder, Resolved, ResolvedAggregate, ResolvedGenerator,
    ResolvedWindow, WindowCall,
};

/// A function by kind. A name may have one of each (`first` aggregates; `explode` generates).
#[derive(Clone, Copy)]
pub enum Entry {
    Scalar(fn(&Call) -> Result<Resolved>),
    Aggregate(fn(&AggregateCall) -> Result<ResolvedAggregate>),
    Window(fn(&WindowCall) -> Result<ResolvedWindow>),
    Generator(fn(&GeneratorCall) -> Result<ResolvedGenerator>),
    HigherOrder(HigherOrder),
}

/// Functions by lower-case name.
#[derive(Default)]
pub struct Registry {
    entries: BTreeMap<&'static str, Vec<Entry>>,
}

impl Registry {
    pub fn scalar(&mut self, names: &[&'static str], resolve: fn(&Call) -> Result<Resolved>) {
        self.add(names, Entry::Scalar(resolve));
    }

    pub fn aggregate(
        &mut self,
        names: &[&'static str],
        resolve: fn(&AggregateCall) -> Result<ResolvedAggregate>,
    ) {
        self.add(names, Entry::Aggregate(resolve));
    }

    pub fn window(&mut self, names: &[&'static str], resolve: fn(&WindowCall) -> Result<ResolvedWindow>) {
        self.add(names, Entry::Window(resolve));
    }

    pub fn generator(
        &mut self,
        names: &[&'static str],
        resolve: fn(&GeneratorCall) -> Result<ResolvedGenerator>,
    ) {
        self.add(names, Entry::Generator(resolve));
    }

    pub fn higher_order(&mut self, names: &[&'static str], function: HigherOrder) {
        self.add(names, Entry::HigherOrder(function));
    }

    fn add(&mut self, names: &[&'static str], entry: Entry) {
        for name in names {
            self.entries.entry(name).or_default().push(entry);
        }
    }

    /// All entries of a name (any case).
    pub fn get(&self, name: &str) -> &[Entry] {
        self.entries.get(name.to_lowercase().as_str()).map_or(&[], Vec::as_slice)
    }

    pub fn contains(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.entries.keys().copied()
    }
}

/// Spark's built-in functions.
pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
        let mut registry = Registry::default();
        register_all(&mut registry);
        registry
    });
    &REGISTRY
}

/// Each family registers itself here.
fn register_all(registry: &mut Registry) {
    crate::cast::register(registry);
    crate::collation::register(registry);
    crate::system::register(registry);
    crate::predicate::register(registry);
    crate::conditional::register(registry);
    crate::hash::register(registry);
    crate::bitwise::register(registry);
    crate::math::register(registry);
    crate::string::register(registry);
    crate::arithmetic::register(registry);
    crate::datetime::register(registry);
    crate::interval::register(registry);
    crate::json::register(registry);
    crate::csv::register(registry);
    crate::url::register(registry);
    crate::geo::register(registry);
    crate::grouping_key::register(registry);
    crate::variant::register(registry);
    crate::xml::register(registry);
    crate::aggregate::register(registry);
    crate::collection::register(registry);
    crate::generator::register(registry);
    crate::higher_order::register(registry);
    crate::sketch::register(registry);
    crate::window::register(registry);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Inputs};

    /// What `now()` and its kin say is known by [`Resolved::telling_time`], and nothing else without arguments is taken for
    /// them: an analysis that is kept for a later execution must not keep the time.
    #[test]
    fn functions_of_the_time_say_so() {
        let at = |now_us| Context { now_us, ..Context::default() };
        let (early, late) = (at(0), at(100_000_000_000_001));
        let value = |resolved: &Resolved, context| (resolved.eval)(&Inputs::new(&[], 1, context)).ok();
        let mut telling = Vec::new();
        for (name, entries) in &registry().entries {
            for entry in entries {
                let Entry::Scalar(resolve) = entry else { continue };
                let Ok(resolved) = resolve(&Call { name, args: &[], context: &early }) else { continue };
                let is_volatile = resolved.volatility == datafusion::logical_expr::Volatility::Volatile;
                if !is_volatile && value(&resolved, &early) != value(&resolved, &late) {
                    assert!(resolved.tells_time, "{name} depends on the time of the query");
                }
                if resolved.tells_time {
                    telling.push(*name);
                }
            }
        }
        let wanted =
            ["curdate", "current_date", "current_time", "current_timestamp", "localtimestamp", "now"];
        assert_eq!(telling, [&wanted[..], &["unix_timestamp"]].concat());
    }
}
