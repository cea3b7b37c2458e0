//! Trees as short text, for tests.

use boathouse_spec::{Expr, JoinCondition, Literal, Relation, RelationNode, SortOrder, WindowSpec};

fn join<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(" ")
}

/// Calls as `(name argument ..)`, columns as their names, strings in quotes.
pub(crate) fn expr(e: &Expr) -> String {
    match e {
        Expr::Literal(Literal::String(s)) => format!("'{s}'"),
        Expr::Literal(Literal::Integer(v)) => v.to_string(),
        Expr::Literal(Literal::Boolean(v)) => v.to_string(),
        Expr::Literal(Literal::Null(_)) => "null".to_string(),
        Expr::Literal(other) => format!("{other:?}"),
        Expr::Column(c) => c.name.join("."),
        Expr::LambdaVariable(name) => format!("${}", name.join(".")),
        Expr::Star(s) => {
            let target = s.target.as_ref().map(|t| t.join(".") + ".").unwrap_or_default();
            let except = if s.except.is_empty() { String::new() } else { format!(" except {:?}", s.except) };
            format!("{target}*{except}")
        }
        Expr::Alias { expr: e, names, .. } => format!("{}:{}", expr(e), names.join(",")),
        Expr::Call(c) => {
            let distinct = if c.distinct { " distinct" } else { "" };
            let args = if c.args.is_empty() { String::new() } else { format!(" {}", join(&c.args, expr)) };
            let filter = c.filter.as_ref().map(|f| format!(" filter {}", expr(f))).unwrap_or_default();
            let order = if c.order_by.is_empty() {
                String::new()
            } else {
                format!(" within {}", join(&c.order_by, order))
            };
            let nulls = match c.ignore_nulls {
                Some(true) => " ignore nulls",
                Some(false) => " respect nulls",
                None => "",
            };
            format!("({}{distinct}{args}{filter}{order}{nulls})", c.name.join("."))
        }
        Expr::Cast { expr: e, to, mode, .. } => format!("(cast {} {} {mode:?})", expr(e), to.simple_string()),
        Expr::Extract { expr: e, extraction, .. } => format!("{}[{}]", expr(e), expr(extraction)),
        Expr::Window { function, window, .. } => format!("(over {} {})", expr(function), spec(window)),
        Expr::Lambda { body, parameters } => format!("(\\{} {})", parameters.join(","), expr(body)),
        Expr::NamedArgument { name, value } => format!("{name}=>{}", expr(value)),
        Expr::NamedParameter(name) => format!(":{name}"),
        Expr::PositionalParameter(n) => format!("?{n}"),
        Expr::Identifier(e) => format!("(identifier {})", expr(e)),
        Expr::ScalarSubquery(q) => format!("(scalar {})", relation(q)),
        Expr::Exists(q) => format!("(exists {})", relation(q)),
        Expr::InSubquery { values, query } => format!("(in ({}) {})", join(values, expr), relation(query)),
        Expr::Default => "DEFAULT".to_string(),
        other => format!("{other:?}"),
    }
}

fn order(o: &SortOrder) -> String {
    let direction = if o.ascending { "" } else { " desc" };
    let nulls = if o.nulls_first == o.ascending {
        ""
    } else if o.nulls_first {
        " nulls first"
    } else {
        " nulls last"
    };
    format!("{}{direction}{nulls}", expr(&o.expr))
}

fn spec(w: &WindowSpec) -> String {
    match w {
        WindowSpec::Named(name) => name.clone(),
        WindowSpec::Inline { partition_by, order_by, frame } => {
            let frame = frame
                .as_ref()
                .map(|f| format!(" {:?} {:?}..{:?}", f.units, f.start, f.end))
                .unwrap_or_default();
            format!("by {} order {}{frame}", join(partition_by, expr), join(order_by, order))
        }
    }
}

/// Operators as `name(input, details)`, outermost first.
pub(crate) fn relation(r: &Relation) -> String {
    use RelationNode as N;
    match r.node.as_ref() {
        N::OneRow => "one".to_string(),
        N::Table(t) => t.name.join("."),
        N::Values(rows) => format!("values({})", join(rows, |row| format!("[{}]", join(row, expr)))),
        N::TableFunction { name, args } => format!("{}({})", name.join("."), join(args, expr)),
        N::Project { input, exprs } => format!("project({}, {})", relation(input), join(exprs, expr)),
        N::Filter { input, condition } => format!("filter({}, {})", relation(input), expr(condition)),
        N::Having { input, condition } => format!("having({}, {})", relation(input), expr(condition)),
        N::Qualify { input, condition } => format!("qualify({}, {})", relation(input), expr(condition)),
        N::Aggregate(a) => {
            let kind = format!("{:?}", a.kind);
            let kind = kind.split('(').next().unwrap_or_default().to_lowercase();
            format!(
                "{kind}({}, {} / {})",
                relation(&a.input),
                join(&a.grouping, expr),
                join(&a.aggregates, expr)
            )
        }
        N::Sort { input, order: o, global } => {
            format!("{}({}, {})", if *global { "sort" } else { "sortby" }, relation(input), join(o, order))
        }
        N::SortAll { input, .. } => format!("sortall({})", relation(input)),
        N::Limit { input, limit, .. } => format!("limit({}, {})", relation(input), expr(limit)),
        N::Offset { input, offset, .. } => format!("offset({}, {})", relation(input), expr(offset)),
        N::Distinct { input } => format!("distinct({})", relation(input)),
        N::SubqueryAlias { input, alias, columns, .. } => {
            let columns = if columns.is_empty() { String::new() } else { format!("[{}]", columns.join(" ")) };
            format!("{} as {alias}{columns}", relation(input))
        }
        N::With { input, tables, .. } => {
            format!(
                "with({}: {})",
                join(tables, |t| format!("{}={}", t.name, relation(&t.query))),
                relation(input)
            )
        }
        N::WindowDefinitions { input, windows } => {
            format!("windows({}, {})", relation(input), join(windows, |(n, w)| format!("{n}={}", spec(w))))
        }
        N::Hint { input, name, parameters } => {
            format!("hint({}, {name} {})", relation(input), join(parameters, expr))
        }
        N::Join(j) => {
            let condition = match &j.condition {
                JoinCondition::None => String::new(),
                JoinCondition::On(e) => format!(" on {}", expr(e)),
                JoinCondition::Using(names) => format!(" using {}", names.join(" ")),
                JoinCondition::Natural => " natural".to_string(),
            };
            format!("{:?}({}, {}{condition})", j.kind, relation(&j.left), relation(&j.right)).to_lowercase()
        }
        N::LateralJoin { left, right, kind, .. } => {
            format!("lateral {kind:?}({}, {})", relation(left), relation(right))
        }
        N::SetOperation { left, right, operation, all, .. } => {
            let all = if *all { " all" } else { "" };
            format!("{operation:?}{all}({}, {})", relation(left), relation(right)).to_lowercase()
        }
        other => format!("{other:?}"),
    }
}
