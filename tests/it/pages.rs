//! The pages: what they show without scripts, and that they load nothing from elsewhere and run nothing of their own.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use tissuecast::http::state::HttpLimits;

use crate::http_support::{Answer, App, Setup};

fn check(answer: &Answer) -> String {
    assert!(answer.header("content-type").starts_with("text/html"), "{}", answer.text());
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = answer.text();
    for forbidden in [" style=", " onclick", " onload", "src=\"http", "href=\"http", "url(http", "<style"] {
        assert!(!page.contains(forbidden), "the page has {forbidden}");
    }
    for script in page.split("<script").skip(1) {
        let start = " type=\"module\" src=\"/assets/";
        assert!(script.starts_with(start) && script.contains("\"></script>"), "a script of its own: {script:.80}");
    }
    page
}

async fn send_form(app: &App, fields: &str) -> Answer {
    let request = Request::post("/impute").header("content-type", "application/x-www-form-urlencoded");
    app.send(request.body(Body::from(fields.to_owned())).unwrap()).await
}

#[tokio::test]
async fn the_start_page_searches_and_lists_datasets() {
    let app = Setup { datasets: vec!["one", "two"], ..Setup::default() }.build();
    let page = check(&app.get("/").await);
    assert!(page.contains("action=\"/genes\"") && page.contains("<option value=\"two\">"));
    let app = Setup::default().build();
    let page = check(&app.get("/").await);
    for example in ["ALPHA</a> (measured everywhere)", "DELTA</a> (measured in part)", "GAMMA</a> (never measured)"] {
        assert!(page.contains(example), "{example}");
    }
}

#[tokio::test]
async fn a_search_leads_to_the_gene_or_lists_what_was_found() {
    let app = Setup { datasets: vec!["one", "two"], ..Setup::default() }.build();
    let found = app.get("/genes?query=alpha&dataset=two").await;
    assert_eq!((found.status, found.header("location")), (StatusCode::SEE_OTHER, "/genes/alpha?dataset=two"));
    let app = Setup::default().build();
    assert_eq!(app.get("/genes?query=").await.header("location"), "/");
    let page = check(&app.get("/genes?query=TA").await);
    assert!(page.contains("2 genes") && page.contains("<a href=\"/genes/ENSG00000000002\">BETA</a>"), "{page}");
    let twins = check(&app.get("/genes?query=TWIN").await);
    assert!(twins.contains("2 genes") && twins.contains("ENSG00000000007"));
    let region = check(&app.get("/genes?query=12:4,000-10,000").await);
    assert!(
        region.contains("2 genes")
            && region.contains("GAMMA")
            && region.contains("2 genes on chr12 from 4000 to 10000")
    );
    assert!(!region.contains("ALPHA") && !region.contains("DELTA"));
    for (query, status) in [("12:10-5", 422), ("chr1:5-10", 404), ("%3Cscript%3EALPHQ", 404), ("TA&page=9", 422)] {
        let answer = app.get(&format!("/genes?query={query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{query}");
        check(&answer);
    }
    let answer = app.get("/genes?query=ALPHQ").await;
    assert!(check(&answer).contains("<a href=\"/genes/ALPHA\">ALPHA</a>"), "the nearest name");
}

#[tokio::test]
async fn suggestions_come_for_a_symbol_and_for_a_region() {
    let app = Setup::default().build();
    let names = async |query: &str| -> Vec<String> {
        let answer = app.get(&format!("/v1/genes?items_per_page=8&query={query}")).await.json();
        answer["data"].as_array().unwrap().iter().map(|gene| gene["symbol"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("de").await, ["DELTA"]);
    assert_eq!(names("chr12:1,500-5,000").await, ["ALPHA", "BETA"]);
    assert_eq!(app.get("/v1/genes?query=chr12:9-x").await.problem(), "/problems/invalid-parameter");
}

#[tokio::test]
async fn a_genes_page_has_plot_surroundings_values_and_downloads() {
    let app = Setup::default().build();
    let page = check(&app.get_with("/genes/delta", ("host", "lab.example:8080")).await);
    assert!(page.contains("<h1>DELTA</h1>") && page.contains("<svg ") && page.contains("measured in part"));
    assert!(page.contains("<td class=\"imputed\">imputed</td>"));
    assert!(page.contains("2 of 4 tissues have no measured value") && page.contains("Imputed: Lung, Whole Blood."));
    assert!(page.contains("BETA, reference gene, 5000 to 6000, - strand"), "the neighbours that it rests on");
    let data = "/v1/genes/ENSG00000000004/profile?dataset=small&amp;model=nearest-two@1.0.0";
    assert!(page.contains(&format!("curl &#39;http://lab.example:8080{data}&amp;format=tsv&#39;")), "{page}");
    for format in ["tsv", "json", "svg", "arrow"] {
        let link = format!("{data}&amp;format={format}");
        assert!(page.contains(&link), "{link}");
        assert_eq!(app.get(&link.replace("&amp;", "&")).await.status, StatusCode::OK);
    }
    let again = "/genes/ENSG00000000004?dataset=small&model=nearest-two@1.0.0";
    assert!(page.contains(&again.replace('&', "&amp;")));
    check(&app.get(again).await);
    for missing in ["/genes/GAMMA", "/genes/NOUGHT", "/genes/NOWHERE", "/genes/LONELY", "/genes/ALPHA"] {
        check(&app.get(missing).await);
    }
    assert!(app.get("/genes/NOWHERE").await.text().contains("not in the annotation"));
    assert!(app.get("/genes/NOUGHT").await.text().contains("A measured zero is a value"));
    assert!(app.get("/genes/LONELY").await.text().contains("stay unknown, and are not zero"));
}

#[tokio::test]
async fn an_address_says_how_a_profile_is_looked_at() {
    let app = Setup::default().build();
    let names = |text: &str| -> Vec<String> {
        let wide = text.split("class=\"card plot narrow\"").next().unwrap().to_owned();
        let bars = wide.split("role=\"listitem\" aria-label=\"").skip(1);
        bars.filter_map(|rest| rest.split(':').next().map(str::to_owned)).collect()
    };
    let page = check(&app.get("/genes/ALPHA").await);
    assert_eq!(names(&page), ["Brain - Cortex", "Liver", "Lung", "Whole Blood"]);
    let page = check(&app.get("/genes/ALPHA?sort=value&scale=log&colours=safe").await);
    assert_eq!(names(&page), ["Whole Blood", "Brain - Cortex", "Lung", "Liver"]);
    assert!(page.contains("logarithm of 1 + value") && page.contains("<option value=\"safe\" selected>"));
    assert!(page.contains("format=svg&amp;sort=value&amp;scale=log&amp;colours=safe\" download=\"ALPHA.svg\""));
    let svg = app.get("/v1/genes/ALPHA/profile?format=svg&sort=value").await;
    assert_eq!(names(&svg.text()), ["Whole Blood", "Brain - Cortex", "Lung", "Liver"]);
    let wrong = app.get("/genes/ALPHA?sort=size").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(check(&wrong).contains("&#39;sort&#39; is one of gtex, value, system"));
    assert_eq!(app.get("/v1/genes/ALPHA/profile?colours=red").await.problem(), "/problems/invalid-parameter");
}

#[tokio::test]
async fn what_is_not_found_is_said_on_a_page_with_nearest_names() {
    let app = Setup::default().build();
    let answer = app.get("/genes/%3Cscript%3EALPHQ").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    check(&answer);
    let answer = app.get("/genes/ALPHQ").await;
    assert!(check(&answer).contains("<a href=\"/genes/ALPHA\">ALPHA</a>"));
    let answer = app.get("/genes/TWIN").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(check(&answer).contains("<a href=\"/genes/ENSG00000000006\">"));
}

#[tokio::test]
async fn a_browser_that_is_led_astray_gets_a_page_and_a_program_a_problem() {
    let app = Setup::default().build();
    let answer = app.get_with("/nowhere", ("accept", "text/html,application/xhtml+xml,*/*;q=0.8")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    check(&answer);
    assert_eq!(app.get_with("/nowhere", ("accept", "*/*")).await.problem(), "/problems/no-such-route");
}

#[tokio::test]
async fn a_new_gene_is_imputed_by_a_form_as_by_the_api() {
    let app = Setup::default().build();
    let page = check(&app.get("/impute").await);
    assert!(page.contains("name=\"observed.Brain_Cortex\"") && !page.contains("<svg "));
    assert!(page.contains("<option value=\"protein_coding\">") && page.contains("Positions are those of GRCh38"));
    let fields = "id=mine&biotype=protein+coding&chromosome=12&tss=11%2C000&strand=%2B&promoter=%3Emy+gene%0AACGT%0AACG&observed.Liver=2%2C5&observed.Lung=";
    let answer = send_form(&app, fields).await;
    assert_eq!(answer.status, StatusCode::OK);
    let page = check(&answer);
    assert!(page.contains("Profile of mine") && page.contains("Liver: 2.5 TPM, measured"), "{page}");
    assert!(
        page.contains("mine, this gene, 11000 to 11000, + strand")
            && page.contains("7 bases on the gene&#39;s own strand")
            || page.contains("7 bases on the gene's own strand")
    );
    assert!(page.contains("value=\"11,000\"") && page.contains("&gt;my gene\nACGT"), "what was typed is still there");
    let posted = serde_json::json!({"genes": [{"id": "mine", "biotype": "protein_coding", "chromosome": "12", "tss": 11_000, "strand": "+",
        "promoter": "ACGTACG", "observed": {"Liver": 2.5}}]});
    let api = app.post("/v1/profiles", &posted).await.json()["data"][0].clone();
    let file = send_form(&app, &format!("{fields}&format=json")).await;
    assert!(file.header("content-disposition").contains("attachment"));
    assert_eq!(file.json(), api, "the form and the API say the same");
    let tsv = send_form(&app, &format!("{fields}&format=tsv")).await;
    assert!(tsv.text().starts_with("gene_id\t") && tsv.text().lines().count() == 5);
    let link =
        page.split("href=\"").filter_map(|rest| rest.split('"').next()).find(|link| link.starts_with("/impute?"));
    let again = app.get(&link.unwrap().replace("&amp;", "&")).await;
    assert!(check(&again).contains("Liver: 2.5 TPM, measured"), "the link gives the same again");
}

#[tokio::test]
async fn what_is_wrong_with_a_new_gene_is_said_beside_its_field() {
    let app = Setup::default().build();
    for (fields, name, words) in [
        ("chromosome=12&tss=11000&strand=%2B&promoter=ACGZ", "promoter", "letter &#39;Z&#39; at base 4"),
        ("chromosome=12&tss=none&strand=%2B", "tss", "is not a whole number"),
        ("chromosome=12&tss=11000", "strand", "is missing"),
        ("tss=11000&strand=-", "chromosome", "is missing"),
        ("chromosome=12&tss=1&strand=-&observed.Liver=many", "observed.Liver", "is not a number"),
        ("chromosome=12&tss=1&strand=-&observed.Liver=1%2C234", "observed.Liver", "could be 1234 or 1.234"),
        ("id=nothing+else", "chromosome", "is missing"),
    ] {
        let answer = send_form(&app, fields).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{fields}");
        let page = check(&answer);
        let beside = page.split(&format!("id=\"impute-{name}-error\">")).nth(1).and_then(|rest| rest.split('<').next());
        assert!(beside.is_some_and(|text| text.contains(words)), "{fields}: {beside:?}");
        assert!(page.contains("aria-invalid=\"true\"") && page.contains("role=\"alert\"") && !page.contains("<svg "));
    }
    let unread = app.post("/impute", &serde_json::json!({})).await;
    assert_eq!(unread.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    check(&unread);
    assert_eq!(app.get("/impute?dataset=none").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_page_for_genotypes_knows_models_and_limits() {
    let limits = HttpLimits { genotype_body_bytes: 1_234, answer_values: 99, ..HttpLimits::default() };
    let app = Setup { limits, ..Setup::predicting() }.build();
    let page = check(&app.get("/predict").await);
    assert!(page.contains("data-max-bytes=\"1234\"") && page.contains("data-max-values=\"99\""));
    assert!(page.contains("value=\"blood\" data-genes=\"2\" checked> blood"), "{page}");
    assert!(page.contains("value=\"liver\" data-genes=\"1\"> liver"));
    assert!(page.contains("<noscript>") && page.contains("<option>GRCh38</option>") && !page.contains("{assemblies}"));
    let chosen = check(&app.get("/predict?model=liver&gene=BETA").await);
    assert!(chosen.contains("aria-describedby=\"genes-help\">BETA</textarea>"));
    assert!(chosen.contains("data-genes=\"1\" checked> liver") && !chosen.contains("checked> blood"));
    let none = check(&Setup::default().build().get("/predict").await);
    assert!(none.contains("tissuecast models import") && !none.contains("<form id=\"predict\""));
    assert!(!none.contains("predict.js"), "there is no form to be at work on");
}

#[tokio::test]
async fn files_that_pages_load_are_there_and_are_sent_once() {
    let app = Setup::predicting().build();
    let mut names = std::collections::BTreeSet::new();
    for path in ["/", "/genes/ALPHA", "/genes?query=TA", "/impute", "/predict", "/models", "/models/blood", "/docs"] {
        let page = app.get(path).await.text();
        names.extend(page.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    assert!(names.len() >= 6, "{names:?}");
    // Scripts name the files that they load in turn.
    let mut waiting: Vec<String> = names.iter().cloned().collect();
    while let Some(name) = waiting.pop() {
        let asset = app.get(&format!("/assets/{name}")).await;
        assert_eq!(asset.status, StatusCode::OK, "{name}");
        let known = app.get_with(&format!("/assets/{name}"), ("if-none-match", asset.header("etag"))).await;
        assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0), "{name}");
        let text = asset.text().replace("\"./", "\"/assets/");
        for loaded in text.split("\"/assets/").skip(1).filter_map(|rest| rest.split('"').next()) {
            if names.insert(loaded.to_owned()) {
                waiting.push(loaded.to_owned());
            }
        }
    }
    assert_eq!(app.get("/assets/nothing.js").await.status, StatusCode::NOT_FOUND);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/assets");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "no page loads {name}");
    }
}

#[tokio::test]
async fn the_docs_page_lists_every_operation() {
    let app = Setup::default().build();
    let page = check(&app.get("/docs").await);
    let document = tissuecast::http::openapi();
    assert!(document.paths.paths.len() >= 13);
    for path in document.paths.paths.keys() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    assert!(app.get("/openapi.yaml").await.text().starts_with("openapi: 3.1"));
}
