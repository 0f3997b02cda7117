//! A download on each receiver: nginx and curl.

use std::fs;
use std::net::TcpStream;

use anyhow::{Context, Result};
use glancecast_tests::netns::Lab;
use glancecast_tests::process::Process;

use super::{Direction, Line, Tool, package_version};
use crate::run::{Host, Site};

/// nginx on the sender, curl on the receivers.
#[derive(Debug, Clone, Copy)]
pub struct Http;

impl Tool for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn about(&self) -> String {
        format!(
            "{}, {}; nginx and one curl on each receiver, without TLS: neither encrypted nor authenticated, copies not verified",
            package_version("nginx"),
            package_version("curl")
        )
    }

    fn direction(&self) -> Direction {
        Direction::Pull
    }

    fn prepare(&self, site: &Site) -> Result<()> {
        let Site { directory, image, .. } = site;
        let text = CONFIGURATION
            .replace("SENDER", &site.sender.to_string())
            .replace("DIRECTORY", &directory.display().to_string())
            .replace("IMAGE", &image.path.display().to_string());
        fs::write(directory.join(FILE), text).context("cannot write nginx's configuration")
    }

    fn sender(&self, site: &Site) -> Result<Vec<Line>> {
        Ok(vec![
            Line::new("nginx", "-e stderr").path("-p", &site.directory).path("-c", site.directory.join(FILE)),
        ])
    }

    fn receiver(&self, site: &Site, host: &Host) -> Line {
        let url = format!("http://{}/image", site.sender);
        Line::new("curl", "--silent --show-error --fail")
            .path("--output", host.directory.join("image"))
            .path("", url)
    }

    fn is_ready(&self, site: &Site, _host: Option<&Host>, _process: &Process) -> bool {
        site.lab().inside(Lab::SENDER, || TcpStream::connect((site.sender, 80)).is_ok())
    }

    fn is_done(&self, _site: &Site, _host: &Host, process: &mut Process) -> Result<bool> {
        Ok(process.poll().is_some_and(|end| end.code() == Some(0)))
    }
}

const FILE: &str = "nginx.conf";
/// One worker per core, and no copy between the page cache and the socket.
const CONFIGURATION: &str = "\
daemon off;
user root;
worker_processes auto;
pid DIRECTORY/nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=10;
    client_body_temp_path DIRECTORY/body;
    proxy_temp_path DIRECTORY/proxy;
    fastcgi_temp_path DIRECTORY/fastcgi;
    uwsgi_temp_path DIRECTORY/uwsgi;
    scgi_temp_path DIRECTORY/scgi;
    server {
        listen SENDER:80;
        location = /image { alias IMAGE; }
    }
}
";
