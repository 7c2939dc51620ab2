//! Prints `docs/settings.md`: every option, as it is declared in `settings.rs`.
//!
//! `scripts/check_settings_docs.py` compares the page with this and `--write` renews it.

#[expect(clippy::print_stdout, reason = "printing is all it does")]
fn main() {
    print!("{}", bicorn_config::settings_markdown());
}
