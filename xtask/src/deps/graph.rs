//! The dependency graph as `cargo metadata` tells it, without dev-dependencies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use serde::Deserialize;

/// Packages and who needs whom to be built.
#[derive(Debug)]
pub(crate) struct Graph {
    members: Vec<Member>,
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, BTreeSet<String>>,
}

/// A crate of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its package name.
    pub(crate) name: String,
    /// Where its manifest is.
    pub(crate) folder: PathBuf,
    id: String,
}

impl Graph {
    /// Reads the output of `cargo metadata --format-version 1`.
    pub(crate) fn from_metadata(json: &str) -> Result<Self, String> {
        let metadata: Metadata = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let resolve = metadata.resolve.ok_or("the graph was not resolved")?;
        let mut members = Vec::new();
        for package in &metadata.packages {
            if metadata.workspace_members.contains(&package.id) {
                let folder = package.manifest_path.parent().ok_or("a manifest without a folder")?.to_owned();
                members.push(Member { name: package.name.clone(), folder, id: package.id.clone() });
            }
        }
        let edges = resolve.nodes.into_iter().map(|node| {
            let needed = node.deps.into_iter().filter(Dependency::is_needed_to_build).map(|dependency| dependency.pkg);
            (node.id, needed.collect())
        });
        Ok(Self {
            members,
            edges: edges.collect(),
            names: metadata.packages.into_iter().map(|package| (package.id, package.name)).collect(),
        })
    }

    /// The crates of the workspace.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether there is a crate of the workspace with this name.
    pub(crate) fn has_member(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    /// The shortest way by which the member `from` needs a package called `to`: names from `from` to `to`.
    pub(crate) fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let start = &self.members.iter().find(|member| member.name == from)?.id;
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([start.as_str()]);
        while let Some(id) = queue.pop_front() {
            if id != start && self.names.get(id).is_some_and(|name| name == to) {
                let ids = std::iter::successors(Some(id), |id| came_from.get(id).copied());
                let mut way: Vec<String> =
                    ids.map(|id| self.names.get(id).map_or(id, String::as_str).to_owned()).collect();
                way.reverse();
                return Some(way);
            }
            for next in self.edges.get(id).into_iter().flatten() {
                if next != start && !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, id);
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Option<Resolve>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

impl Dependency {
    fn is_needed_to_build(&self) -> bool {
        self.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"))
    }
}

#[derive(Deserialize)]
struct DependencyKind {
    // `null` for an ordinary dependency.
    kind: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::Graph;

    /// A graph of members, all others being packages from elsewhere; an edge is `(from, to, kind)`.
    pub(crate) fn planted(members: &[&str], edges: &[(&str, &str, Option<&str>)]) -> Graph {
        let mut names: Vec<&str> = members.to_vec();
        names.extend(edges.iter().flat_map(|(from, to, _)| [from, to]));
        names.sort_unstable();
        names.dedup();
        let packages: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({"id": name, "name": name, "manifest_path": format!("/w/{name}/Cargo.toml")}))
            .collect();
        let nodes: Vec<_> = names
            .iter()
            .map(|name| {
                let deps: Vec<_> = edges
                    .iter()
                    .filter(|(from, ..)| from == name)
                    .map(|(_, to, kind)| serde_json::json!({"pkg": to, "dep_kinds": [{"kind": kind}]}))
                    .collect();
                serde_json::json!({"id": name, "deps": deps})
            })
            .collect();
        let all = serde_json::json!(
            {"packages": packages, "workspace_members": members, "resolve": {"nodes": nodes}}
        );
        Graph::from_metadata(&all.to_string()).expect("what was planted reads")
    }

    #[test]
    fn way_goes_through_normal_and_build_dependencies_only() {
        let graph = planted(
            &["ours"],
            &[("ours", "a", None), ("a", "b", Some("build")), ("a", "c", Some("dev")), ("b", "a", None)],
        );
        assert_eq!(graph.way("ours", "b"), Some(vec!["ours".to_owned(), "a".to_owned(), "b".to_owned()]));
        assert_eq!(graph.way("ours", "c"), None);
        assert_eq!(graph.way("ours", "ours"), None);
        assert_eq!(graph.way("absent", "a"), None);
    }
}
