//! SELECT: its clauses, grouping, hints.

use boathouse_spec::{Aggregate, Error, Expr, GroupingKind, Relation, RelationNode, Result};

use crate::parser::Parser;

/// More sets than this are not written out.
const MOST_CUBE_ELEMENTS: usize = 12;

/// GROUP BY, taken apart.
pub(crate) struct Grouping {
    pub kind: GroupingKind,
    pub exprs: Vec<Expr>,
}

/// Sets of grouping expressions.
type Sets = Vec<Vec<Expr>>;

impl Parser<'_> {
    /// `SELECT ..` over its own FROM clause, or over one that was written before.
    pub fn select(&mut self, from: Option<Relation>) -> Result<Relation> {
        self.expect("SELECT")?;
        self.refuse_script()?;
        let hints = self.hints()?;
        let distinct = self.set_quantifier();
        let list = self.named_expressions()?;
        let mut relation = match from {
            Some(relation) => relation,
            None if self.at("FROM") => {
                self.advance();
                self.relations_of_from()?
            }
            None => RelationNode::OneRow.into(),
        };
        while self.at_all(&["LATERAL", "VIEW"]) {
            self.grow()?;
            relation = self.lateral_view(relation)?;
        }
        if self.eat("WHERE") {
            let condition = self.expression()?;
            relation = RelationNode::Filter { input: relation, condition }.into();
        }
        let grouping = if self.eat_all(&["GROUP", "BY"]) { Some(self.grouping(false)?) } else { None };
        let mut having = if self.eat("HAVING") { Some(self.expression()?) } else { None };
        if grouping.is_none()
            && self.options.having_as_where
            && let Some(condition) = having.take()
        {
            relation = RelationNode::Filter { input: relation, condition }.into();
        }
        relation = match grouping {
            Some(Grouping { kind, exprs }) => aggregate(relation, kind, exprs, list),
            None if having.is_some() => aggregate(relation, GroupingKind::GroupBy, vec![], list),
            None => RelationNode::Project { input: relation, exprs: list }.into(),
        };
        if let Some(condition) = having {
            relation = RelationNode::Having { input: relation, condition }.into();
        }
        // WINDOW is written before QUALIFY, which may use its windows.
        let before = self.pos;
        let windows = self.window_clause(RelationNode::OneRow.into())?;
        let has_windows = self.pos != before;
        if self.at("QUALIFY") {
            self.advance();
            let condition = self.expression()?;
            relation = RelationNode::Qualify { input: relation, condition }.into();
        }
        if distinct {
            relation = RelationNode::Distinct { input: relation }.into();
        }
        if has_windows && let RelationNode::WindowDefinitions { windows, .. } = *windows.node {
            relation = RelationNode::WindowDefinitions { input: relation, windows }.into();
        }
        Ok(hinted(relation, hints))
    }

    /// `SELECT TRANSFORM(..) USING 'script'`
    fn refuse_script(&self) -> Result<()> {
        let open = self.peek_at(1);
        if self.at("TRANSFORM")
            && open.text == "("
            && open.pair != 0
            && matches!(self.tokens[open.pair + 1].text, "USING" | "ROW" | "RECORDWRITER")
        {
            return Err(Error::unsupported("SELECT TRANSFORM .. USING a script"));
        }
        Ok(())
    }

    /// `DISTINCT` or `ALL` before a select list; true for the former.
    pub fn set_quantifier(&mut self) -> bool {
        let next = self.peek_at(1);
        let list_follows = !matches!(next.text, "," | ")" | "." | "=" | "FROM" | "AS" | ";")
            && next.kind != crate::lexer::Kind::End
            && !(self.at("ALL") && next.text == "(");
        if !list_follows {
            return false;
        }
        if self.eat("DISTINCT") {
            return true;
        }
        self.eat("ALL");
        false
    }

    /// `/*+ name(parameters), .. */`, any number of them, in order.
    pub fn hints(&mut self) -> Result<Vec<(String, Vec<Expr>)>> {
        let mut hints = Vec::new();
        while self.eat_symbol("/*+") {
            loop {
                let name = self.simple_identifier()?;
                let parameters =
                    if self.at_symbol("(") { self.parenthesized(Self::primary)? } else { vec![] };
                hints.push((name, parameters));
                self.eat_symbol(",");
                if self.eat_symbol("*/") {
                    break;
                }
            }
        }
        Ok(hints)
    }

    // ---- grouping

    /// What follows GROUP BY; only pipes may name the expressions.
    pub fn grouping(&mut self, may_be_named: bool) -> Result<Grouping> {
        if self.at("ALL") && !matches!(self.peek_at(1).text, "," | "." | "(" | "+" | "[") {
            self.advance();
            return Ok(Grouping { kind: GroupingKind::All, exprs: vec![] });
        }
        enum Element {
            Plain(Expr),
            Rollup(Vec<Vec<Expr>>),
            Cube(Vec<Vec<Expr>>),
            Sets(Sets),
        }
        let mut elements = self.list(|p| {
            Ok(if p.at_analytics("ROLLUP") {
                p.advance();
                Element::Rollup(p.parenthesized(Self::grouping_set)?)
            } else if p.at_analytics("CUBE") {
                p.advance();
                Element::Cube(p.parenthesized(Self::grouping_set)?)
            } else if p.at_all(&["GROUPING", "SETS"]) && p.symbol_at(2, "(") {
                p.pos += 2;
                Element::Sets(p.grouping_sets()?)
            } else {
                Element::Plain(if may_be_named { p.named_expression()? } else { p.expression()? })
            })
        })?;
        let all_plain = elements.iter().all(|e| matches!(e, Element::Plain(_)));
        if all_plain {
            let exprs: Vec<Expr> = elements
                .into_iter()
                .filter_map(|e| match e {
                    Element::Plain(expr) => Some(expr),
                    _ => None,
                })
                .collect();
            let kind = if self.eat_all(&["WITH", "ROLLUP"]) {
                GroupingKind::Rollup
            } else if self.eat_all(&["WITH", "CUBE"]) {
                GroupingKind::Cube
            } else if self.eat_all(&["GROUPING", "SETS"]) {
                GroupingKind::GroupingSets(self.parenthesized(Self::grouping_set)?)
            } else {
                GroupingKind::GroupBy
            };
            return Ok(Grouping { kind, exprs });
        }
        let single = |lists: &[Vec<Expr>]| lists.iter().all(|l| l.len() == 1);
        if elements.len() == 1
            && let Some(only) = elements.pop()
        {
            return Ok(match only {
                Element::Rollup(lists) if single(&lists) => {
                    Grouping { kind: GroupingKind::Rollup, exprs: lists.concat() }
                }
                Element::Cube(lists) if single(&lists) => {
                    Grouping { kind: GroupingKind::Cube, exprs: lists.concat() }
                }
                Element::Rollup(lists) => sets(rollup_sets(&lists)),
                Element::Cube(lists) => sets(cube_sets(&lists)?),
                Element::Sets(list) => sets(list),
                Element::Plain(expr) => Grouping { kind: GroupingKind::GroupBy, exprs: vec![expr] },
            });
        }
        let mut combined: Vec<Sets> = Vec::new();
        for element in elements {
            combined.push(match element {
                Element::Plain(expr) => vec![vec![expr]],
                Element::Rollup(lists) => rollup_sets(&lists),
                Element::Cube(lists) => cube_sets(&lists)?,
                Element::Sets(list) => list,
            });
        }
        let exprs = distinct(combined.iter().flatten().flatten());
        Ok(Grouping { kind: GroupingKind::Combined(combined), exprs })
    }

    fn at_analytics(&self, word: &str) -> bool {
        self.at(word) && self.symbol_at(1, "(") && !self.symbol_at(2, ")")
    }

    /// `(a, b)`, `()` or one expression.
    fn grouping_set(&mut self) -> Result<Vec<Expr>> {
        let open = self.peek();
        if open.text == "(" && open.pair != 0 && self.is_whole_set(open.pair) {
            self.advance();
            let exprs = if self.at_symbol(")") { vec![] } else { self.expressions()? };
            self.expect_symbol(")")?;
            return Ok(exprs);
        }
        Ok(vec![self.expression()?])
    }

    /// Whether the parentheses that close there are the whole set, and not the start of `(a) + b`.
    fn is_whole_set(&self, close: usize) -> bool {
        matches!(self.tokens[close + 1].text, "," | ")")
    }

    /// `(set, ROLLUP(..), ..)` after GROUPING SETS, nested analytics written out.
    fn grouping_sets(&mut self) -> Result<Sets> {
        let elements = self.parenthesized(|p| {
            p.nested(|p| {
                if p.at_analytics("ROLLUP") {
                    p.advance();
                    return Ok(rollup_sets(&p.parenthesized(Self::grouping_set)?));
                }
                if p.at_analytics("CUBE") {
                    p.advance();
                    return cube_sets(&p.parenthesized(Self::grouping_set)?);
                }
                if p.at_all(&["GROUPING", "SETS"]) && p.symbol_at(2, "(") {
                    p.pos += 2;
                    return p.grouping_sets();
                }
                Ok(vec![p.grouping_set()?])
            })
        })?;
        Ok(elements.concat())
    }
}

fn aggregate(input: Relation, kind: GroupingKind, grouping: Vec<Expr>, aggregates: Vec<Expr>) -> Relation {
    RelationNode::Aggregate(Aggregate { input, kind, grouping, aggregates, grouping_first: false }).into()
}

pub(crate) fn hinted(relation: Relation, hints: Vec<(String, Vec<Expr>)>) -> Relation {
    hints
        .into_iter()
        .rev()
        .fold(relation, |input, (name, parameters)| RelationNode::Hint { input, name, parameters }.into())
}

fn sets(list: Sets) -> Grouping {
    let exprs = distinct(list.iter().flatten());
    Grouping { kind: GroupingKind::GroupingSets(list), exprs }
}

fn distinct<'a>(exprs: impl Iterator<Item = &'a Expr>) -> Vec<Expr> {
    let mut out: Vec<Expr> = Vec::new();
    for expr in exprs {
        if !out.contains(expr) {
            out.push(expr.clone());
        }
    }
    out
}

/// All prefixes, the longest first.
fn rollup_sets(lists: &[Vec<Expr>]) -> Sets {
    (0..=lists.len()).rev().map(|n| lists[..n].concat()).collect()
}

/// All subsets, the largest first.
fn cube_sets(lists: &[Vec<Expr>]) -> Result<Sets> {
    if lists.len() > MOST_CUBE_ELEMENTS {
        return Err(Error::new("GROUPING_SIZE_LIMIT_EXCEEDED")
            .param("maxSize", MOST_CUBE_ELEMENTS)
            .message(format!("CUBE with other grouping takes at most {MOST_CUBE_ELEMENTS} elements.")));
    }
    let mut out: Sets = vec![vec![]];
    for list in lists.iter().rev() {
        let mut with: Sets = out.iter().map(|set| [list.clone(), set.clone()].concat()).collect();
        with.append(&mut out);
        out = with;
    }
    out.sort_by_key(|set| std::cmp::Reverse(set.len()));
    Ok(out)
}
