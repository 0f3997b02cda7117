//! `glancecast images`: lists the images that could be pushed.

use indicatif::BinaryBytes;
use serde::Serialize;

use super::args::ImagesArgs;
use super::{Failure, block_on, print, print_list};
use crate::openstack::{Cloud, ImageFilter, ListedImage};
use crate::output::grid::{Cell, Column, Grid, numbers, words};
use crate::output::terminal::output_room;
use crate::output::width::cut_middle;
use crate::output::{SCHEMA, json};
use crate::request::RequestError;

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    glancecast: &'static str,
    images: &'a [ListedImage],
    /// The value of `--marker` for the next images, if `--limit` ended the list.
    next_marker: Option<&'a str>,
}

/// Lists the images in Glance.
pub(super) fn run(args: &ImagesArgs) -> Result<u8, Failure> {
    let listing = args.output.listing(&COLUMNS)?;
    let images = block_on(list(args))??;
    if args.output.json() {
        let ended = args.limit.is_some_and(|limit| images.len() >= limit as usize);
        let next_marker = images.last().filter(|_| ended).map(|image| image.id.as_str());
        let report =
            Report { schema: SCHEMA, glancecast: env!("CARGO_PKG_VERSION"), images: &images, next_marker };
        print(&json::line(&report))?;
    } else {
        print_list(&listing, &listing.text(grid(&images), output_room()), &count(&images))?;
    }
    Ok(glancecast_platform::cli::EXIT_OK)
}

async fn list(args: &ImagesArgs) -> Result<Vec<ListedImage>, RequestError> {
    let cloud = Cloud::connect(&args.cloud.choice()).await?;
    let filter = ImageFilter {
        name: args.name.clone(),
        status: args.status.clone(),
        visibility: args.visibility.clone(),
        tags: args.tag.clone(),
        marker: args.marker.clone(),
        limit: args.limit.map(|limit| limit as usize),
    };
    Ok(cloud.images(&filter).await?)
}

fn count(images: &[ListedImage]) -> String {
    match images.len() {
        0 => "no image matches\n".to_owned(),
        1 => "1 image\n".to_owned(),
        count => format!("{count} images\n"),
    }
}

fn grid(images: &[ListedImage]) -> Grid {
    Grid { columns: COLUMNS.to_vec(), rows: images.iter().map(cells).collect() }
}

const COLUMNS: [Column; 8] = [
    words("NAME"),
    words("ID"),
    words("STATUS"),
    numbers("SIZE"),
    words("FORMAT"),
    words("CONTAINER"),
    words("VISIBILITY"),
    words("NOT PUSHED, AS"),
];

fn cells(image: &ListedImage) -> Vec<Cell> {
    let maybe = |text: &Option<String>| text.as_deref().map_or_else(Cell::none, Cell::text);
    let name = maybe(&image.name);
    vec![
        Cell { shown: cut_middle(&name.shown, NAME_COLUMNS_MAX), ..name },
        Cell::text(image.id.as_str()),
        Cell::text(image.status.as_str()),
        image.size.map_or_else(Cell::none, |size| Cell::number(size, BinaryBytes(size).to_string())),
        maybe(&image.disk_format),
        maybe(&image.container_format),
        maybe(&image.visibility),
        Cell::text(image.obstacle.as_deref().unwrap_or_default()),
    ]
}

/// Glance allows names of 255 characters, which would make every row wider than a screen.
const NAME_COLUMNS_MAX: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::columns::Room;
    use crate::output::formats::Listing;
    use crate::output::width::width;

    fn text(images: &[ListedImage]) -> String {
        let list = Listing::default().text(grid(images), Room::Unbounded);
        list + "\n" + &count(images)
    }

    fn image(name: &str, size: Option<u64>) -> ListedImage {
        ListedImage {
            id: "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44".into(),
            name: Some(name.into()),
            status: "active".into(),
            size,
            disk_format: Some("qcow2".into()),
            container_format: Some("bare".into()),
            visibility: Some("public".into()),
            created_at: None,
            obstacle: None,
        }
    }

    #[test]
    fn columns_line_up_and_numbers_stand_to_the_right() {
        let text = self::text(&[image("debian", Some(3 << 30)), image("a-much-longer-name", None)]);
        let lines: Vec<&str> = text.lines().collect();
        let ends = |line: &str, word: &str| line.find(word).expect("it is there") + word.len();
        assert_eq!(ends(lines[0], "SIZE"), ends(lines[1], "3.00 GiB"));
        assert_eq!(lines[0].find("FORMAT"), lines[1].find("qcow2"));
        assert_eq!(lines[1].find("active"), lines[2].find("active"));
        assert!(text.ends_with("\n2 images\n"), "{text}");
    }

    #[test]
    fn a_long_name_is_cut_in_the_table_and_whole_in_json() {
        let long = format!("{}{}-first", "n".repeat(100), "\u{1f600}".repeat(149));
        let images = [image(&long, Some(1)), image(&long.replace("first", "other"), Some(1))];
        let text = self::text(&images);
        assert!(text.lines().all(|line| width(line) < 160), "{text}");
        assert!(text.contains("-first ") && text.contains("-other ") && text.contains("nn…"), "{text}");
        let report = Report { schema: SCHEMA, glancecast: "0", images: &images, next_marker: None };
        let json: serde_json::Value = serde_json::from_str(&json::to_string(&report)).expect("JSON");
        assert_eq!(json["images"][0]["name"], long);
    }

    #[test]
    fn what_cannot_be_pushed_says_why() {
        let packed = ListedImage {
            container_format: Some("ovf".into()),
            obstacle: Some("its container format is ovf".into()),
            ..image("packed", Some(1))
        };
        let text = self::text(&[image("good", Some(1)), packed]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].ends_with("public")
                && lines[2].ends_with("ovf        public      its container format is ovf"),
            "{text}"
        );
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let text = self::text(&[image("evil\u{1b}[2J\nname", None)]);
        assert!(!text.contains('\u{1b}') && text.lines().count() == 4, "{text:?}");
    }
}
