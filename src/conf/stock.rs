//! The files that nginx packages put beside their conf and that confs include by name. Where one
//! is missing on this machine our own copy is served.

use std::path::Path;

/// The file names, each with its text.
const FILES: [(&str, &str); 6] = [
    ("mime.types", include_str!("../../conf/mime.types")),
    ("fastcgi_params", include_str!("../../conf/fastcgi_params")),
    ("fastcgi.conf", include_str!("../../conf/fastcgi.conf")),
    ("scgi_params", include_str!("../../conf/scgi_params")),
    ("uwsgi_params", include_str!("../../conf/uwsgi_params")),
    ("proxy_params", include_str!("../../conf/proxy_params")),
];

/// Our copy of the file that `path` names; none for a name that no package ships, or in a folder
/// where none would put it.
pub fn copy_of(path: &Path) -> Option<&'static str> {
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("");
    if !matches!(folder, "" | "nginx" | "conf" | "etc" | "openresty" | "angie" | "freenginx") {
        return None;
    }
    named(path.file_name()?.to_str()?)
}

/// Our copy of a file by its bare name.
pub fn named(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(file, _)| *file == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_a_package_would_put_them() {
        assert!(copy_of(Path::new("/etc/nginx/no_such_file")).is_none());
        for (name, _) in FILES {
            assert!(copy_of(&Path::new("/etc/nginx").join(name)).is_some(), "{name}");
            assert!(copy_of(&Path::new("/usr/local/nginx/conf").join(name)).is_some(), "{name}");
            assert!(copy_of(&Path::new("/srv/site/private").join(name)).is_none(), "{name}");
        }
    }
}
