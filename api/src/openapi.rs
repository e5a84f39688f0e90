//! The OpenAPI document, made of the same values as the router.

use axum::Json;
use utoipa::openapi::path::{HttpMethod, Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref,
    Required,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::access::Access;
use crate::extract::MIN_POSITION;
use crate::problem::{Code, Problem};
use crate::route::Route;
use crate::router::routes;

const ABOUT: &str = "Issues software licences through a tree of resellers and keeps the quota ledger behind it.\n\n\
    Errors are RFC 9457 problem documents with a stable `code`. Commands accept `Idempotency-Key` and answer with \
    `Quotary-Position`; queries accept `Quotary-Min-Position`. Single resources carry `ETag`, and commands on them \
    accept `If-Match`.";

/// `GET /openapi.json`.
#[utoipa::path(get, path = "/openapi.json", tag = "operations",
    responses((status = 200, description = "This document", body = Object)))]
pub async fn handle() -> Json<OpenApi> {
    Json(document())
}

/// The document as it is committed: pretty-printed JSON with a newline at its end.
#[must_use]
pub fn openapi_json() -> String {
    let mut text = document().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut components = ComponentsBuilder::new()
        .security_scheme("access_token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
        .security_scheme(
            "client_signature",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "Signature",
                "RFC 9421 HTTP Message Signatures, hmac-sha256 with the project's API key",
            ))),
        )
        .schema(Problem::name(), Problem::schema());
    for route in routes() {
        let operation = operation(&route);
        for (name, schema) in route.schemas {
            components = components.schema(name, schema);
        }
        let method = match route.method.as_str() {
            "POST" => HttpMethod::Post,
            "PUT" => HttpMethod::Put,
            "PATCH" => HttpMethod::Patch,
            "DELETE" => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        paths = paths.path(route.path, PathItem::new(method, operation));
    }
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Quotary")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license));
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build()
}

fn operation(route: &Route) -> Operation {
    let mut operation = route.operation.clone();
    operation.operation_id = Some(route.name.replace(' ', "").replace("::", "."));
    let about = operation.description.take().map(|text| format!("{text}\n\n")).unwrap_or_default();
    // The sections for readers of the code say the same as the list of problems.
    let about = about.split("# Errors").next().unwrap_or_default().trim_end().to_owned();
    operation.description = Some(format!("{about}\n\n{}", route.access.describe()).trim_start().to_owned());
    operation.security = match route.access {
        Access::Anyone => None,
        Access::Client => Some(vec![SecurityRequirement::new("client_signature", Vec::<String>::new())]),
        Access::AnyToken | Access::Account | Access::Roles(_) => {
            Some(vec![SecurityRequirement::new("access_token", Vec::<String>::new())])
        }
    };
    if matches!(route.access, Access::Account | Access::Roles(_)) {
        let headers: &[(&str, &str)] = if route.is_command() {
            &[
                ("Idempotency-Key", "makes a repeat answer the same and write nothing; 1 to 255 visible characters"),
                ("If-Match", "the entity tag that the resource must have"),
            ]
        } else {
            &[(MIN_POSITION, "waits until the answer contains this position")]
        };
        for (name, about) in headers {
            let parameter = ParameterBuilder::new()
                .name(*name)
                .parameter_in(ParameterIn::Header)
                .required(Required::False)
                .description(Some(*about))
                .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
            operation.parameters.get_or_insert_default().push(parameter.build().into());
        }
    }
    for (status, codes) in route.codes_by_status() {
        let names = codes.iter().map(|code: &Code| format!("`{}`", code.slug())).collect::<Vec<_>>().join(", ");
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
        let response = ResponseBuilder::new().description(names).content("application/problem+json", content);
        operation.responses.responses.insert(status.to_string(), response.build().into());
    }
    operation
}
