//! Spark's functions on GEOMETRY and GEOGRAPHY, which are refused: the types do not exist here.

use boathouse_spec::Error;

use crate::Registry;

pub(crate) fn register(r: &mut Registry) {
    let names = ["st_asbinary", "st_geogfromwkb", "st_geomfromwkb", "st_setsrid", "st_srid"];
    r.scalar(&names, |call| {
        Err(Error::unsupported(format!("the function `{}` (geospatial types)", call.name)))
    });
}
