//! `[plugins.grants.ID]` and `[plugins.secrets.NAME]`: what a plugin may do beyond its world.

use std::path::PathBuf;

use super::section::section;
use super::units::Size;

section! {
    /// Powers beyond its world that one plugin is given, by its id. Its manifest has to ask for each
    /// of them as well.
    GrantSet {
        /// Most that its store may hold, such as `"1MiB"`; a pipeline's. `"0B"`: it has none.
        kv: Size = Size(0);
        /// Whether it may send text, bytes and events to the client; a pipeline's.
        data: bool = false;
        /// Whether it may read and make pixels; a pipeline's.
        pixels: bool = false;
        /// Whether it may read and make sound; a pipeline's.
        audio: bool = false;
        /// Names of the secrets that its configuration may refer to; a policy's or a rule's.
        secrets: Vec<String> = Vec::new();
    }
}

section! {
    /// A secret, by a name of your own. A plugin's configuration refers to it by
    /// `{"$secret": "NAME"}`. Exactly one of them.
    SecretSource {
        /// Environment variable that holds it.
        env: String = String::new();
        /// File that holds it; a line's end after it is no part of it.
        file: PathBuf = PathBuf::new();
    }
}
