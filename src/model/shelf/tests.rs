use super::*;

fn shelf() -> Shelf<u32> {
    let mut shelf = Shelf::default();
    for (name, version, item) in [("blood", "10", 10), ("blood", "9", 9), ("blood", "rc", 0), ("liver", "1", 1)] {
        shelf.insert(name, version, item);
    }
    shelf
}

#[test]
fn a_name_alone_means_the_newest_version() {
    let shelf = shelf();
    assert_eq!(shelf.labels(), ["blood@rc", "blood@9", "blood@10", "liver@1"]);
    let wanted = [("blood", Some(10)), ("blood@9", Some(9)), ("blood@rc", Some(0)), ("liver@2", None), ("lung", None)];
    for (named, item) in wanted {
        assert_eq!(shelf.get(named).copied(), item, "{named}");
    }
    assert_eq!(shelf.defaults().copied().collect::<Vec<_>>(), [10, 1]);
    assert_eq!((shelf.len(), shelf.is_empty(), Shelf::<u32>::default().is_empty()), (4, false, true));
    assert!(shelf.has_name("liver") && !shelf.has_name("liver@1"));
}

#[test]
fn a_default_that_was_set_is_meant_and_may_be_absent() {
    let mut of_a_dataset = shelf();
    of_a_dataset.set_default("blood", "9");
    of_a_dataset.set_default("nothing", "1");
    assert_eq!(of_a_dataset.get("blood"), Some(&9));
    let defaults: Vec<String> = of_a_dataset.iter().filter(|one| one.is_default).map(|one| one.label()).collect();
    assert_eq!(defaults, ["blood@9", "liver@1"]);
    let mut other = Shelf::default();
    other.insert("blood", "10", "x");
    other.set_defaults_of(&of_a_dataset);
    assert_eq!((other.get("blood"), other.get("blood@10")), (None, Some(&"x")));
    assert_eq!(other.defaults().count(), 0);
}

#[test]
fn a_version_that_comes_again_replaces_the_one_that_was_there() {
    let mut shelf = shelf();
    shelf.insert("blood", "9", 99);
    assert_eq!((shelf.len(), shelf.get("blood@9")), (4, Some(&99)));
}
