//! `glancecast images`: lists the images that could be pushed.

use indicatif::BinaryBytes;
use serde::Serialize;

use super::args::ImagesArgs;
use super::{Failure, block_on};
use crate::openstack::{Cloud, ImageFilter, ListedImage};
use crate::output::columns::{Side, columns};
use crate::output::json;
use crate::request::RequestError;

#[derive(Serialize)]
struct Listing<'a> {
    glancecast: &'static str,
    images: &'a [ListedImage],
    /// The value of `--marker` for the next images, if `--limit` ended the list.
    next_marker: Option<&'a str>,
}

/// Lists the images in Glance.
pub(super) fn run(args: &ImagesArgs) -> Result<u8, Failure> {
    let images = block_on(list(args))??;
    if args.output.json {
        let ended = args.limit.is_some_and(|limit| images.len() >= limit as usize);
        let next_marker = images.last().filter(|_| ended).map(|image| image.id.as_str());
        let listing = Listing { glancecast: env!("CARGO_PKG_VERSION"), images: &images, next_marker };
        println!("{}", json::to_string(&listing));
    } else {
        print!("{}", table(&images));
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

fn table(images: &[ListedImage]) -> String {
    let rows: Vec<[String; 6]> = images.iter().map(cells).collect();
    let mut text =
        columns(HEAD, [Side::Left, Side::Left, Side::Left, Side::Right, Side::Left, Side::Left], &rows);
    text.push_str(&match images.len() {
        0 => "no image matches\n".to_owned(),
        1 => "\n1 image\n".to_owned(),
        count => format!("\n{count} images\n"),
    });
    text
}

const HEAD: [&str; 6] = ["NAME", "ID", "STATUS", "SIZE", "FORMAT", "VISIBILITY"];

fn cells(image: &ListedImage) -> [String; 6] {
    let or_dash = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
    [
        or_dash(&image.name),
        image.id.clone(),
        image.status.clone(),
        image.size.map_or("-".to_owned(), |size| BinaryBytes(size).to_string()),
        or_dash(&image.disk_format),
        image.visibility.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, size: Option<u64>) -> ListedImage {
        ListedImage {
            id: "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44".into(),
            name: Some(name.into()),
            status: "active".into(),
            size,
            disk_format: Some("qcow2".into()),
            visibility: "public".into(),
        }
    }

    #[test]
    fn columns_line_up_and_numbers_stand_to_the_right() {
        let text = table(&[image("debian", Some(3 << 30)), image("a-much-longer-name", None)]);
        let lines: Vec<&str> = text.lines().collect();
        let ends = |line: &str, word: &str| line.find(word).expect("it is there") + word.len();
        assert_eq!(ends(lines[0], "SIZE"), ends(lines[1], "3.00 GiB"));
        assert_eq!(lines[0].find("FORMAT"), lines[1].find("qcow2"));
        assert_eq!(lines[1].find("active"), lines[2].find("active"));
        assert!(text.ends_with("\n2 images\n"), "{text}");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let text = table(&[image("evil\u{1b}[2J\nname", None)]);
        assert!(!text.contains('\u{1b}') && text.lines().count() == 4, "{text:?}");
    }
}
