//! The pages: what they show, and that they load nothing from elsewhere and run nothing.

use axum::http::StatusCode;

use crate::http_support::{Answer, Setup};

fn check(answer: &Answer) -> String {
    assert!(answer.header("content-type").starts_with("text/html"), "{}", answer.text());
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = answer.text();
    for forbidden in ["<script", " style=", "onclick", "src=\"http", "href=\"http", "url(http"] {
        assert!(!page.contains(forbidden), "the page has {forbidden}");
    }
    page
}

#[tokio::test]
async fn the_start_page_searches_and_lists_datasets() {
    let app = Setup { datasets: vec!["one", "two"], ..Setup::default() }.build();
    let page = check(&app.get("/").await);
    assert!(page.contains("action=\"/genes\"") && page.contains("<option value=\"two\">"));
    let found = app.get("/genes?query=HLA%2FA%20x&dataset=two").await;
    assert_eq!((found.status, found.header("location")), (StatusCode::SEE_OTHER, "/genes/HLA%2FA%20x?dataset=two"));
    assert_eq!(app.get("/genes?query=").await.header("location"), "/");
}

#[tokio::test]
async fn a_genes_page_has_plot_table_and_downloads() {
    let app = Setup::default().build();
    let page = check(&app.get_with("/genes/delta", ("host", "lab.example:8080")).await);
    assert!(page.contains("<h1>DELTA</h1>") && page.contains("<svg ") && page.contains("measured in part"));
    assert!(page.contains("<td class=\"imputed\">imputed</td>"));
    assert!(page.contains("curl 'http://lab.example:8080/v1/genes/ENSG00000000004/profile?format=tsv'"));
    for format in ["tsv", "json", "svg", "arrow"] {
        let link = format!("/v1/genes/ENSG00000000004/profile?format={format}");
        assert!(page.contains(&link), "{link}");
        assert_eq!(app.get(&link).await.status, StatusCode::OK);
    }
    for asset in ["/assets/style.css", "/assets/icon.svg"] {
        assert!(page.contains(asset));
        assert_eq!(app.get(asset).await.status, StatusCode::OK);
    }
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
