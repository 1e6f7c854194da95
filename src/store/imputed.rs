//! Imputed profiles, kept by the digest of the model and the version of the dataset that they came from.

use std::collections::BTreeMap;

use super::rows::InsertShape;
use super::{Store, StoreError, failed, stored_gene_id};
use crate::genome::GeneId;

/// A row that is there already came from the same model and the same data: it stays.
const IMPUTED: InsertShape = InsertShape {
    table: "imputed",
    columns: &["dataset_version", "model_digest", "gene_id", "profile"],
    conflict: " ON CONFLICT (dataset_version, model_digest, gene_id) DO NOTHING",
};

impl Store {
    /// Returns a gene's imputed profile as it was saved.
    ///
    /// # Errors
    /// The database fails.
    pub async fn imputed(
        &self,
        dataset_version: &str,
        model_digest: &str,
        gene: &GeneId,
    ) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT profile FROM imputed WHERE dataset_version = $1 AND model_digest = $2 AND gene_id = $3",
        )
        .bind(dataset_version)
        .bind(model_digest)
        .bind(gene.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("read an imputed profile"))
    }

    /// Returns every profile that a model imputed for a dataset's version.
    ///
    /// # Errors
    /// The database fails.
    pub async fn imputed_all(
        &self,
        dataset_version: &str,
        model_digest: &str,
    ) -> Result<BTreeMap<GeneId, String>, StoreError> {
        let rows = sqlx::query_as::<_, (String, String)>(
            "SELECT gene_id, profile FROM imputed WHERE dataset_version = $1 AND model_digest = $2",
        )
        .bind(dataset_version)
        .bind(model_digest)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read the imputed profiles"))?;
        Ok(rows.into_iter().filter_map(|(gene, profile)| Some((stored_gene_id(&gene)?, profile))).collect())
    }

    /// Saves imputed profiles, all or none; a gene that has one keeps it.
    ///
    /// # Errors
    /// The database fails.
    pub async fn save_imputed(
        &self,
        dataset_version: &str,
        model_digest: &str,
        profiles: &[(GeneId, String)],
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await.map_err(failed("save imputed profiles"))?;
        let insert = IMPUTED.insert(&mut transaction, profiles, |query, (gene, profile)| {
            let query = query.bind(dataset_version.to_owned()).bind(model_digest.to_owned());
            query.bind(gene.as_str().to_owned()).bind(profile.clone())
        });
        insert.await.map_err(failed("save imputed profiles"))?;
        transaction.commit().await.map_err(failed("save imputed profiles"))
    }
}
