//! Swarm settings by name: how long, how wide and how hostile the runs of a campaign are.
//!
//! **Invariant:** a profile sets bounds, the seed draws within them. A key that is unknown or out of
//! range is an error that names it, with the line where it stands.

use serde::Deserialize;
use std::fmt;
use std::path::Path;

/// Least and most, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "[u32; 2]")]
pub struct Bounds {
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
}

impl TryFrom<[u32; 2]> for Bounds {
    type Error = String;

    fn try_from([min, max]: [u32; 2]) -> Result<Bounds, String> {
        if min <= max && max <= COUNT_MAX {
            Ok(Bounds { min, max })
        } else {
            Err(format!("[{min}, {max}]: give the least and the most, at most {COUNT_MAX}"))
        }
    }
}

/// Steps, clients and the like of one run, at most: what a worker plays in some seconds.
const COUNT_MAX: u32 = 10_000;

/// A share of runs or steps, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub struct Percent(pub u32);

impl TryFrom<u32> for Percent {
    type Error = String;

    fn try_from(percent: u32) -> Result<Percent, String> {
        if percent <= 100 {
            Ok(Percent(percent))
        } else {
            Err(format!("{percent} is no share in percent: give 0 to 100"))
        }
    }
}

/// The bounds within which a seed draws its run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Steps of a run.
    pub steps: Bounds,
    /// Clients that send at once.
    pub clients: Bounds,
    /// Tenants.
    pub tenants: Bounds,
    /// Entities.
    pub entities: Bounds,
    /// Runs that have values of 32 to 200 KiB among the small ones.
    pub large_runs: Percent,
    /// Runs in which faults strike at all.
    pub faulty_runs: Percent,
    /// Faults of such a run.
    pub faults: Bounds,
    /// Crashes among the faults; the others are errors, short reads and slow operations.
    pub crashes: Percent,
    /// Faults that strike while a server recovers.
    pub in_recovery: Percent,
    /// Runs with a dishonest fault: none unless the profile says so, at most one in ten of those that count.
    #[serde(default)]
    pub damage: Percent,
}

/// The profiles that need no file: name and text.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("quick", include_str!("profiles/quick.toml")),
    ("nightly", include_str!("profiles/nightly.toml")),
    ("hostile", include_str!("profiles/hostile.toml")),
    ("damage", include_str!("profiles/damage.toml")),
];

/// The profile of those who name none.
pub const DEFAULT: &str = "quick";

/// Why there is no such profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It is neither built in nor a file.
    #[error(
        "no profile `{name}`: give quick, nightly, hostile, damage, or the path of a TOML file ({why})"
    )]
    Missing {
        /// As it was asked for.
        name: String,
        /// What the host says of the file.
        why: std::io::Error,
    },
    /// A run without any of these is no run.
    #[error("profile {name}: the least of {key} is 0, it must be at least 1")]
    Zero {
        /// As it was asked for.
        name: String,
        /// Which bounds.
        key: &'static str,
    },
    /// Its text is no profile.
    #[error("{name}:{mark}")]
    Text {
        /// As it was asked for.
        name: String,
        /// Where and what.
        mark: Mark,
    },
}

/// A place of a text, and what is wrong there. It is told as mistakes in specs are: the line, and a mark under it.
#[derive(Debug)]
pub struct Mark {
    /// From 1.
    line_number: usize,
    /// The text of the line.
    line: String,
    /// In characters, from 0.
    column: usize,
    /// In characters.
    width: usize,
    /// What is wrong.
    why: String,
}

impl Mark {
    fn of(text: &str, error: &toml::de::Error) -> Mark {
        let span = error.span().unwrap_or(0..0);
        let start = span.start.min(text.len());
        let begin = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[begin..].lines().next().unwrap_or_default();
        let end = span.end.clamp(start, begin + line.len().max(start - begin));
        Mark {
            line_number: text[..begin].matches('\n').count() + 1,
            line: line.to_string(),
            column: text[begin..start].chars().count(),
            width: text[start..end].chars().count().max(1),
            why: error.message().to_string(),
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mark { line_number, line, column, width, why } = self;
        let why = why.replace('\n', " ");
        let margin = " ".repeat(line_number.to_string().len());
        write!(f, "{line_number}:{}: {why}\n {line_number} | {line}\n ", column + 1)?;
        write!(f, "{margin} | {:column$}{}", "", "^".repeat(*width))
    }
}

impl Profile {
    /// The profile of this name, or in the file at this path.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn load(name: &str) -> Result<Profile, ProfileError> {
        let missing = |why| ProfileError::Missing { name: name.to_string(), why };
        let text = match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => text.to_string(),
            None => std::fs::read_to_string(Path::new(name)).map_err(missing)?,
        };
        let unreadable = |why: toml::de::Error| ProfileError::Text {
            name: name.to_string(),
            mark: Mark::of(&text, &why),
        };
        let profile: Profile = toml::from_str(&text).map_err(unreadable)?;
        profile.check(name)?;
        Ok(profile)
    }
}

impl Profile {
    fn check(&self, name: &str) -> Result<(), ProfileError> {
        let Profile { steps, clients, tenants, entities, .. } = self;
        let all =
            [("steps", steps), ("clients", clients), ("tenants", tenants), ("entities", entities)];
        match all.into_iter().find(|(_, bounds)| bounds.min == 0) {
            Some((key, _)) => Err(ProfileError::Zero { name: name.to_string(), key }),
            None => Ok(()),
        }
    }
}

impl Default for Profile {
    fn default() -> Profile {
        Profile::load(DEFAULT).expect("a built-in profile is whole: a test reads each")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_is_whole() {
        for (name, _) in BUILT_IN {
            Profile::load(name).expect(name);
        }
    }

    #[test]
    fn what_is_wrong_with_a_profile_is_named_with_its_place() {
        let text = |change: &dyn Fn(&str) -> String| {
            let error = toml::from_str::<Profile>(&change(BUILT_IN[0].1)).expect_err("it is wrong");
            error.to_string()
        };
        assert!(text(&|whole| whole.replace("steps", "step")).contains("unknown field `step`"));
        let share = text(&|whole| whole.replace("faulty_runs = ", "faulty_runs = 9"));
        assert!(share.contains("line") && share.contains("give 0 to 100"), "{share}");
        assert!(text(&|whole| whole.replace("faults = [", "faults = [9")).contains("the most"));
    }

    #[test]
    fn the_place_of_a_mistake_is_marked() {
        let text = BUILT_IN[0].1.replace("clients = [1", "clients = [9");
        let error = toml::from_str::<Profile>(&text).expect_err("it is wrong");
        let told = Mark::of(&text, &error).to_string();
        let lines: Vec<&str> = told.lines().collect();
        let [head, line, under] = lines[..] else { panic!("{told}") };
        let number = 1 + text[..text.find("clients").expect("a key")].matches('\n').count();
        assert!(head.starts_with(&format!("{number}:")) && head.contains("the most"), "{told}");
        assert!(line.starts_with(&format!(" {number} | clients = [9")), "{told}");
        assert_eq!(under.find('^'), line.find('['), "{told}");
        // Of an empty text nothing can be shown.
        let error = toml::from_str::<Profile>("").expect_err("it is empty");
        assert!(Mark::of("", &error).to_string().starts_with("1:1: missing field"));
    }

    #[test]
    fn a_run_has_at_least_one_of_everything() {
        let path = std::env::temp_dir().join(format!("stormglass-profile-{}", std::process::id()));
        let text = BUILT_IN[0].1.replace("clients = [1", "clients = [0");
        std::fs::write(&path, text).expect("a folder for temporary files");
        let error = Profile::load(path.to_str().expect("plain letters")).expect_err("no clients");
        std::fs::remove_file(&path).expect("it was just written");
        assert!(error.to_string().ends_with("the least of clients is 0, it must be at least 1"));
    }
}
