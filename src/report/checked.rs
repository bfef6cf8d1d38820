//! What tests ask of every page.

/// Tags that are opened and not closed, by a reader that knows just enough HTML.
pub(crate) fn unclosed(html: &str) -> Vec<String> {
    const VOID: [&str; 7] = ["!doctype", "meta", "link", "img", "input", "br", "wbr"];
    let mut open: Vec<String> = Vec::new();
    for tag in html.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag ends");
        let name = tag.split_whitespace().next().unwrap_or("");
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed in the order of opening");
        } else if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name.to_owned());
        }
    }
    open
}

/// Leaves a page for the browser's test, and for whoever wants to see it.
pub(crate) fn keep(name: &str, page: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), page).unwrap();
}

/// A page that is whole, without what is no number, without scripts, and that loads nothing.
pub(crate) fn check(page: &str) {
    assert_eq!(unclosed(page), Vec::<String>::new());
    assert!(!page.contains("{{") && !page.contains("NaN") && !page.contains(">inf"));
    assert!(!page.contains("http:") && !page.contains("https:"));
    assert!(!page.contains("<script"));
}
