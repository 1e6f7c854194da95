//! The pages of the models and of the API: what they show of real cards, and that nothing of a card becomes markup.

use std::sync::Arc;

use axum::http::StatusCode;
use tissuecast::model::expression::ServedGenotypeModel;
use tissuecast::model::expression::card::{GeneSet, Liftover, MethodAccuracy};
use tissuecast::model::manifest::{Accuracy, HiddenAccuracy, Hiding};
use tissuecast::model::served::ServedModel;
use tissuecast::model::{Scale, shelf::label};
use tissuecast::reference::Unit;

use crate::http_support::{BLOOD, NearestTwo, OwnAndNear, Setup, TISSUES, expression_model, served};

/// The small genotype model with a card that says how good it is, and other things.
fn blood() -> Arc<ServedGenotypeModel> {
    let mut model = ServedGenotypeModel::clone(&expression_model("blood", &BLOOD));
    let score = |method: &str, genes: GeneSet, mean_r: f64| MethodAccuracy {
        method: method.to_owned(),
        genes,
        n_genes: 2,
        mean_r,
        interval_r: [mean_r - 0.01, mean_r + 0.01],
        median_r: mean_r,
        mean_r2: mean_r * mean_r,
        mean_rsq: -0.02,
        r_above: [2, 1, 0],
        split: "<nested>".to_owned(),
    };
    model.card.accuracy = vec![
        score("elastic-net", GeneSet::All, 0.0717),
        score("linear", GeneSet::All, 0.123),
        score("linear", GeneSet::Heritable, 0.345),
    ];
    "<script>alert(1)</script>".clone_into(&mut model.card.description);
    model.card.liftover = Some(Liftover {
        assembly: "GRCh37".to_owned(),
        chain: "a.chain".to_owned(),
        chain_sha256: "ff".to_owned(),
        lifted: 3,
        reversed: 1,
        unmapped: 1,
        multiple: 0,
    });
    Arc::new(model)
}

/// A profile model whose card has all that a card can have.
fn context() -> Arc<ServedModel> {
    let mut model = ServedModel::clone(&served(OwnAndNear(NearestTwo::new(Scale::Log2)), Unit::Tpm, &TISSUES));
    let score = |method: &str, scale, mean_error| Accuracy {
        method: method.to_owned(),
        scale,
        genes: 17,
        mean_error,
        median_error: mean_error,
        mean_error_interval: [mean_error - 0.01, mean_error + 0.01],
        mse: 1.5,
    };
    model.card.accuracy = vec![
        score("copy-nearest", Scale::Log2, 0.699),
        score("ridge-nearest", Scale::Log2, 0.611),
        score("distance", Scale::Log2, 0.522),
        score("distance", Scale::MinMax, 0.433),
    ];
    let hidden = |method: &str, scheme, rmse: f64| HiddenAccuracy {
        scheme,
        method: method.to_owned(),
        genes: 17,
        rmse,
        rmse_interval: [rmse - 0.1, rmse + 0.1],
        mean_r: None,
    };
    model.card.hidden = vec![hidden("distance", Hiding::Half, 0.811), hidden("low-rank", Hiding::Half, 0.922)];
    Arc::new(model)
}

fn setup() -> Setup {
    let liver = expression_model("liver", &[("ENSG00000000002.1", "BETA", "rs4", 400, "G>A", 4.0)]);
    Setup { model: Some(context()), expression_models: vec![blood(), liver], ..Setup::default() }
}

/// No part of a page is wider than its place without a way to scroll, and nothing needs an inline script or style.
fn check(page: &str) {
    for forbidden in [" style=", "onclick", "src=\"http", "href=\"http", "<script>"] {
        assert!(!page.contains(forbidden), "the page has {forbidden}");
    }
    assert_eq!(page.matches("<table>").count(), page.matches("<div class=\"scroll\" role=\"region\"").count());
    assert_eq!(page.matches("<svg ").count(), page.matches("role=\"img\" aria-labelledby=").count());
}

#[tokio::test]
async fn the_list_has_every_model_beside_its_strongest_baseline() {
    let answer = setup().build().get("/models").await;
    assert_eq!(answer.status, StatusCode::OK);
    let page = answer.text();
    check(&page);
    for model in ["blood", "liver", "nearest-two"] {
        assert_eq!(page.matches(&format!("<a href=\"/models/{model}\">{model}</a>")).count(), 1, "{model}");
    }
    assert!(page.contains("mean r: 0.123<br>") && page.contains("baseline elastic-net: 0.0717"));
    assert!(page.contains("median r²: 0.25 (1 of 1 genes)"), "the liver's makers gave that alone");
    assert!(page.contains("mean error 1 − r: 0.522<br>") && page.contains("baseline ridge-nearest: 0.611"));
    assert!(page.contains("GRCh38, lifted to GRCh37") && page.contains("Whole Blood"));
}

#[tokio::test]
async fn without_a_model_the_list_says_how_to_get_one() {
    let app = Setup { model: None, ..Setup::default() }.build();
    let page = app.get("/models").await.text();
    assert!(page.contains("tissuecast models import") && page.contains("tissuecast train genotype"));
    assert!(!page.contains("<table>"));
}

#[tokio::test]
async fn a_genotype_models_card_has_plots_tables_and_its_best_genes() {
    let app = setup().build();
    let page = app.get("/models/blood").await.text();
    check(&page);
    assert_eq!(page.matches("<svg ").count(), 3, "all genes, heritable genes, and their spread");
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("&lt;nested&gt;"));
    let row = page.find("<span>linear</span> <span class=\"badge\">this model</span>").unwrap();
    let baseline = page.find("<span>elastic-net</span> <span class=\"badge\">baseline</span>").unwrap();
    assert!(row < baseline, "the better method comes first");
    for text in ["0.113 to 0.133", "3 of 4 rows", "/predict?model=blood\"", "What the numbers do not mean"] {
        assert!(page.contains(text), "{text}");
    }
    for gene in ["ENSG00000000001.4", "ENSG00000000002.1"] {
        let link = format!("/models/blood@1?gene={gene}");
        assert!(page.contains(&format!("<a href=\"{link}#gene\">")), "{link}");
        let found = app.get(&link).await.text();
        assert!(found.contains("aria-label=\"Variants of the gene\""), "{link}");
    }
    assert_eq!(app.get("/v1/models/blood@1").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_gene_is_looked_up_without_scripts() {
    let app = setup().build();
    let found = app.get("/models/liver?gene=beta").await.text();
    assert!(found.contains("aria-label=\"The gene that was looked up\"") && found.contains("value=\"beta\""));
    assert!(found.contains("<th scope=\"row\">rs4</th><td>chr12:400</td><td>G&gt;A</td>"), "{found}");
    assert!(found.contains("<td class=\"number\">100 %</td>"), "one variant has all the importance");
    let json = "/v1/models/liver@1/genes/ENSG00000000002.1";
    assert!(found.contains(json));
    assert_eq!(app.get(json).await.status, StatusCode::OK);
    let none = app.get("/models/liver?gene=%3Cb%3E").await.text();
    assert!(none.contains("predicts no gene ‘&lt;b&gt;’"));
}

#[tokio::test]
async fn a_card_without_accuracy_says_so() {
    let mut bare = ServedGenotypeModel::clone(&expression_model("bare", &BLOOD));
    bare.card.tissue = None;
    let app = Setup { expression_models: vec![Arc::new(bare)], ..Setup::default() }.build();
    let page = app.get("/models/bare").await.text();
    assert!(page.contains("Not known: the card has no accuracy beside other methods"));
    assert!(page.contains("<dt>Tissue</dt><dd>not known</dd>"));
    // The small profile model has no accuracy, either.
    let page = app.get("/models/nearest-two").await.text();
    assert!(page.contains("Not known: the card has no accuracy."));
}

#[tokio::test]
async fn a_profile_models_card_has_errors_hidden_tissues_and_coverage() {
    let page = setup().build().get("/models/nearest-two").await.text();
    check(&page);
    assert_eq!(page.matches("<svg ").count(), 4, "two scales, one scheme, and the coverage");
    for text in ["On log2(1 + x); 17 genes", "On each gene scaled from 0 to 1; 17 genes", "50 % hidden", "nominal 0.9"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert!(page.contains("<th scope=\"row\">no tissue known</th>") && page.contains(">0.905<"));
    assert!(page.contains("<dt>At work on</dt><dd>small</dd>"));
    assert!(page.contains("<span>low-rank</span> <span class=\"badge\">baseline</span>"));
}

#[tokio::test]
async fn a_model_that_is_not_there_leads_to_those_that_are() {
    let app = setup().build();
    for path in ["/models/bloot", "/models/blood@9", "/models/%3Cb%3E"] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        let page = answer.text();
        check(&page);
        assert!(page.contains("<a href=\"/models/blood\">blood</a>") && !page.contains("<b>"), "{path}");
    }
    assert_eq!(app.get(&format!("/models/{}", label("blood", "1"))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_docs_have_every_operation_with_its_parameters_and_a_form_for_what_reads() {
    let app = setup().build();
    let page = app.get("/docs").await.text();
    check(&page);
    let document = serde_json::to_value(tissuecast::http::openapi()).unwrap();
    let mut forms = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let card = page.split_once(&format!("id=\"{id}\"")).unwrap().1.split_once("</article>").unwrap().0;
            assert!(card.contains(&format!("<code>{path}</code>")), "{id}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                assert!(card.contains(&format!("<dt><code>{name}</code> <span")), "{id}: {name}");
                if method == "get" {
                    assert!(card.contains(&format!("<label for=\"{id}-{name}\">{name}")), "{id}: {name}");
                }
            }
            assert_eq!(card.matches("<form ").count(), usize::from(method == "get"), "{id}");
            forms += usize::from(method == "get" && !path.contains('{'));
        }
    }
    assert_eq!(page.matches("<button>Try it</button>").count(), forms, "those that are plain links");
    // A form that is sent as it stands is answered.
    assert_eq!(app.get("/v1/genes?query=&chromosome=&page=&format=").await.status, StatusCode::OK);
    assert!(page.contains("-d &#39;{&quot;genes&quot;:[{&quot;gene&quot;:&quot;DDX11&quot;}]}&#39;"));
    for asset in ["/assets/docs.js", "/assets/docs.css", "/assets/models.css"] {
        assert_eq!(app.get(asset).await.status, StatusCode::OK, "{asset}");
    }
}
