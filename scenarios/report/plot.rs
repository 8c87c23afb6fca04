//! Bars: where each stands in a drawing, and the table that says the same.
//!
//! **Invariant:** a bar's words are its table's row: nothing is only drawn.

/// The drawing's size, in its own units.
pub const WIDTH: f64 = 560.0;
/// Its height.
pub const HEIGHT: f64 = 190.0;
/// Room at the left for the numbers, and below for the names.
const LEFT: f64 = 46.0;
const BELOW: f64 = 26.0;
const ABOVE: f64 = 10.0;
/// Room for a name.
const NAME: f64 = 44.0;
/// Bars of a histogram, about.
const BARS: u64 = 24;

/// A drawing of bars.
pub struct Plot {
    /// For links and labels.
    pub id: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// What a bar's place is.
    pub x_name: &'static str,
    /// What a bar's height is.
    pub y_name: &'static str,
    /// The whole in a sentence.
    pub summary: String,
    /// The bars.
    pub bars: Vec<Bar>,
    /// Heights with a line and a number.
    pub rules: Vec<(f64, String)>,
    /// Places below with a name.
    pub names: Vec<(f64, String)>,
}

/// One bar.
pub struct Bar {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// What it is of.
    pub name: String,
    /// How much.
    pub value: String,
    /// Whether it has no end: all that is more.
    pub is_open: bool,
}

/// What a plot is called.
#[derive(Clone, Copy)]
pub struct Words {
    /// As [`Plot::id`].
    pub id: &'static str,
    /// As [`Plot::title`].
    pub title: &'static str,
    /// As [`Plot::x_name`].
    pub x_name: &'static str,
    /// As [`Plot::y_name`].
    pub y_name: &'static str,
}

/// How many of `values` fall into each of some equal ranges; the last holds all that is more.
pub fn histogram(words: Words, mut values: Vec<u64>) -> Option<Plot> {
    values.sort_unstable();
    let (least, most) = (*values.first()?, *values.last()?);
    let at = |percent: usize| values[(values.len() - 1) * percent / 100];
    let (median, high) = (at(50), at(98));
    let step = nice((high - least).div_ceil(BARS).max(1));
    let start = least / step * step;
    let count = ((high - start) / step + 1) as usize;
    let mut counts = vec![0_u64; count];
    for value in &values {
        let place = ((value - start) / step) as usize;
        counts[place.min(count - 1)] += 1;
    }
    let name = |at: usize| {
        let from = start + at as u64 * step;
        // The last one has no end where there is more.
        match (at + 1 == count && most >= from + step, step) {
            (true, _) => format!("{from} and more"),
            (false, 1) => from.to_string(),
            (false, _) => format!("{from} to {}", from + step - 1),
        }
    };
    let bars = counts.iter().enumerate().map(|(at, count)| (name(at), *count as f64)).collect();
    let last = start + (count as u64 - 1) * step;
    let is_open = most >= last + step;
    let below = |at: usize| (start + at as u64 * step).to_string();
    let names = (0..count).map(|at| match is_open && at + 1 == count {
        true => format!("{last}+"),
        false => below(at),
    });
    let summary = format!(
        "{}: least {least}, median {median}, 98 % below {}, most {most}",
        words.x_name,
        high + 1
    );
    let mut plot = plot(words, summary, bars, names.collect());
    plot.bars.last_mut()?.is_open = is_open;
    Some(plot)
}

/// Bars with these names and heights; below them stand some of `below`.
pub fn plot(words: Words, summary: String, of: Vec<(String, f64)>, below: Vec<String>) -> Plot {
    let Words { id, title, x_name, y_name } = words;
    let most = of.iter().map(|(_, value)| *value).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let rule = nice_rule(most);
    let top = (most / rule).ceil() * rule;
    let (inner_width, inner_height) = (WIDTH - LEFT, HEIGHT - BELOW - ABOVE);
    let y = |value: f64| round(ABOVE + inner_height * (1.0 - value / top));
    let slot = inner_width / of.len().max(1) as f64;
    let gap = (slot * 0.12).min(2.0);
    let bar = |(at, (name, value)): (usize, (String, f64))| {
        let y = y(value);
        let (x, width) = (round(LEFT + at as f64 * slot + gap / 2.0), round(slot - gap));
        let height = round(HEIGHT - BELOW - y);
        Bar { x, y, width, height, name, value: number(value), is_open: false }
    };
    let every = below.len().div_ceil(8).max(1);
    let last = below.len().saturating_sub(1);
    // The last place always has its name, and the one before it only where there is room.
    let is_named = |at: usize| at == last || (at.is_multiple_of(every) && at + every <= last);
    let names = below.into_iter().enumerate().filter(|(at, _)| is_named(*at));
    let names = names.map(|(at, name)| (round(LEFT + (at as f64 + 0.5) * slot), name)).collect();
    let steps = (top / rule).round() as u32;
    let rules = (0..=steps).map(|step| (y(f64::from(step) * rule), number(f64::from(step) * rule)));
    let rules = rules.collect();
    let bars = of.into_iter().enumerate().map(bar).collect();
    Plot { id, title, x_name, y_name, summary, bars, rules, names }
}

impl Plot {
    /// For the markup.
    pub fn view_box(&self) -> String {
        format!("0 0 {WIDTH} {HEIGHT}")
    }

    /// Where the numbers at the left end.
    pub fn left(&self) -> f64 {
        LEFT
    }

    /// Where the lines end.
    pub fn right(&self) -> f64 {
        WIDTH
    }

    /// Beyond it a name has no room on its right: it ends where the lines do.
    pub fn edge(&self) -> f64 {
        WIDTH - NAME / 2.0
    }

    /// The line on which the names stand.
    pub fn name_line(&self) -> f64 {
        HEIGHT - 8.0
    }
}

/// The least of 1, 2, 5, 10, 20, ... that is not below `value`.
pub fn nice(value: u64) -> u64 {
    let powers = (0..19).map(|power| 10_u64.pow(power));
    let all = powers.flat_map(|power| [1, 2, 5].map(|first| power.saturating_mul(first)));
    all.into_iter().find(|nice| *nice >= value).unwrap_or(value)
}

/// Between two lines, so that there are four or five of them.
fn nice_rule(most: f64) -> f64 {
    let power = 10_f64.powf((most / 4.0).log10().floor());
    let first = [1.0, 2.0, 5.0].into_iter().find(|first| first * power * 4.5 >= most);
    first.unwrap_or(10.0) * power
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// At most one digit after the point, and none where it is 0.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words = Words { id: "ops", title: "ops", x_name: "ops", y_name: "runs" };

    #[test]
    fn every_value_is_in_one_bar() {
        let values: Vec<u64> = (100..1_100).chain([90_000]).collect();
        let plot = histogram(WORDS, values).unwrap();
        let sum: u64 = plot.bars.iter().map(|bar| bar.value.parse::<u64>().unwrap()).sum();
        assert_eq!(sum, 1_001);
        assert_eq!(plot.bars[0].name, "100 to 149");
        assert_eq!(plot.bars.last().unwrap().name, "1050 and more");
        assert!(plot.bars.last().unwrap().is_open && !plot.bars[0].is_open);
        assert_eq!(plot.names.last().unwrap().1, "1050+");
        assert!(plot.summary.starts_with("ops: least 100, "), "{}", plot.summary);
        assert!(plot.bars.iter().all(|bar| bar.y >= ABOVE && bar.x + bar.width <= WIDTH));
        assert!(plot.summary.ends_with("most 90000"), "{}", plot.summary);
        assert!(histogram(WORDS, Vec::new()).is_none());
        assert_eq!(histogram(WORDS, vec![7]).unwrap().bars[0].name, "7");
    }

    #[test]
    fn lines_stand_at_round_numbers() {
        for most in [0.3, 1.0, 7.0, 99.0, 101.0, 45_000.0] {
            let plot = plot(WORDS, String::new(), vec![("a".to_string(), most)], Vec::new());
            assert!((2..=6).contains(&plot.rules.len()), "{most}: {:?}", plot.rules);
        }
        assert_eq!([nice(1), nice(3), nice(5), nice(51)], [1, 5, 5, 100]);
    }
}
