//! The region of a cloud. Pure.

use super::super::error::{CloudError, shown};
use super::yaml::{Map, Value};

/// A region that the settings name.
#[derive(Clone, Default)]
pub(super) struct Region {
    pub(super) name: String,
    /// Settings of the cloud for this region alone.
    pub(super) values: Map,
}

/// What the settings say of regions.
pub(super) enum Regions {
    /// `region_name`, or nothing.
    One(Option<Region>),
    /// A list, of which one has to be chosen.
    Several(Vec<Region>),
}

/// Who has chosen a region, and which.
pub(super) struct Chosen<'a> {
    /// `--os-region-name`.
    pub(super) option: Option<&'a str>,
    /// OS_REGION_NAME.
    pub(super) variable: Option<&'a str>,
}

impl Regions {
    /// Reads `regions`, else `region_name`, of the cloud, else of its profile (`_get_known_regions`).
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn of(cloud: &Map, profile: &Map) -> Result<Self, String> {
        for settings in [cloud, profile] {
            for key in ["regions", "region_name"] {
                let regions = match settings.get(key) {
                    None | Some(Value::Null) => continue,
                    Some(Value::List(list)) => list.iter().map(region).collect::<Result<Vec<_>, _>>()?,
                    Some(Value::Text(scalar)) => {
                        let names = scalar.text.split(',').map(str::trim).filter(|name| !name.is_empty());
                        names.map(|name| Region { name: name.to_owned(), values: Map::new() }).collect()
                    }
                    Some(Value::Map(_)) => return Err(format!("`{key}` is no list of regions")),
                };
                match regions.len() {
                    0 => {}
                    1 if key == "region_name" => return Ok(Self::One(regions.into_iter().next())),
                    _ => return Ok(Self::Several(regions)),
                }
            }
        }
        Ok(Self::One(None))
    }

    /// Returns the region that was chosen, else the only one, if any is known.
    ///
    /// # Errors
    /// `RegionNotChosen` if there are several, `UnknownRegion` if the settings have others. The `openstack` command
    /// takes the first of several silently.
    pub(super) fn choose(self, chosen: &Chosen<'_>, origin: &str) -> Result<Option<Region>, CloudError> {
        let wanted = chosen.option.or(chosen.variable);
        let unknown = |regions: &[Region], wanted: &str| CloudError::UnknownRegion {
            region: shown(wanted),
            known: names(regions),
            origin: origin.to_owned(),
        };
        match (self, wanted) {
            (Self::One(region), None) => Ok(region),
            (Self::One(None), Some(wanted)) => Ok(Some(named(wanted))),
            (Self::One(Some(region)), Some(wanted)) if region.name == wanted => Ok(Some(region)),
            // A variable may be of another cloud; an option is meant for this command.
            (Self::One(Some(_)), Some(wanted)) if chosen.option.is_some() => Ok(Some(named(wanted))),
            (Self::One(Some(region)), Some(wanted)) => Err(unknown(&[region], wanted)),
            (Self::Several(mut regions), None) if regions.len() == 1 => Ok(regions.pop()),
            (Self::Several(regions), None) => {
                Err(CloudError::RegionNotChosen { known: names(&regions), origin: origin.to_owned() })
            }
            (Self::Several(regions), Some(wanted)) => {
                match regions.iter().find(|region| region.name == wanted) {
                    Some(region) => Ok(Some(region.clone())),
                    None => Err(unknown(&regions, wanted)),
                }
            }
        }
    }
}

/// An entry of `regions`: a name, or `name` and `values`.
fn region(entry: &Value) -> Result<Region, String> {
    match entry {
        Value::Text(scalar) if !scalar.text.is_empty() => Ok(named(&scalar.text)),
        Value::Map(map) => {
            if let Some(key) = map.keys().find(|key| !["name", "values"].contains(&key.as_str())) {
                return Err(format!(
                    "`{key}` stands beside a region's `name`; settings of a region go below `values`"
                ));
            }
            let name =
                map.get("name").and_then(Value::as_text).ok_or("a region in `regions` has no `name`")?;
            let values = match map.get("values") {
                None | Some(Value::Null) => Map::new(),
                Some(Value::Map(values)) => values.clone(),
                Some(_) => return Err("`values` of a region is no mapping".to_owned()),
            };
            Ok(Region { name: name.to_owned(), values })
        }
        _ => Err("a region in `regions` has no `name`".to_owned()),
    }
}

fn named(name: &str) -> Region {
    Region { name: name.to_owned(), values: Map::new() }
}

fn names(regions: &[Region]) -> String {
    let mut names: Vec<String> = regions.iter().take(LISTED_MAX).map(|region| shown(&region.name)).collect();
    if regions.len() > LISTED_MAX {
        names.push("..".to_owned());
    }
    names.join(", ")
}

/// The maximum number of regions in a message.
const LISTED_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(cloud: &str, option: Option<&str>, variable: Option<&str>) -> Result<String, String> {
        let cloud = Value::parse(cloud).expect("YAML").as_map().expect("a mapping").clone();
        let regions = Regions::of(&cloud, &Map::new())?;
        let region =
            regions.choose(&Chosen { option, variable }, "cloud `x`").map_err(|error| error.to_string())?;
        Ok(region.map_or("none".to_owned(), |region| region.name))
    }

    #[test]
    fn several_regions_of_which_none_is_chosen_are_refused_with_their_list() {
        for cloud in [
            "regions: [R1, R2]",
            "region_name: R1,R2",
            "region_name: [R1, R2]",
            "regions: [{name: R1}, {name: R2, values: {}}]",
        ] {
            let error = chosen(cloud, None, None).unwrap_err();
            assert!(error.contains("R1, R2") && error.contains("--os-region-name"), "{error}");
            assert_eq!(chosen(cloud, None, Some("R2")).as_deref(), Ok("R2"));
            assert_eq!(chosen(cloud, Some("R1"), Some("R2")).as_deref(), Ok("R1"));
            let error = chosen(cloud, Some("R3"), None).unwrap_err();
            assert!(error.contains("R3") && error.contains("R1, R2"), "{error}");
        }
    }

    #[test]
    fn one_region_is_taken_and_only_the_command_line_names_another() {
        for cloud in ["region_name: R1", "regions: [R1]", "regions: [{name: R1}]"] {
            assert_eq!(chosen(cloud, None, None).as_deref(), Ok("R1"));
            assert_eq!(chosen(cloud, None, Some("R1")).as_deref(), Ok("R1"));
            assert!(chosen(cloud, None, Some("R2")).unwrap_err().contains("R1"));
        }
        assert_eq!(chosen("region_name: R1", Some("R2"), None).as_deref(), Ok("R2"));
        assert_eq!(chosen("{}", None, None).as_deref(), Ok("none"));
        assert_eq!(chosen("region_name:", None, Some("R2")).as_deref(), Ok("R2"));
        assert_eq!(chosen("region_name: 1", None, None).as_deref(), Ok("1"));
    }

    #[test]
    fn a_region_that_is_none_is_refused() {
        assert!(
            chosen("regions: [{name: R1, interface: admin}]", None, None).unwrap_err().contains("`values`")
        );
        assert!(chosen("regions: [{values: {}}]", None, None).unwrap_err().contains("`name`"));
        assert!(chosen("regions: {R1: {}}", None, None).unwrap_err().contains("list"));
    }
}
