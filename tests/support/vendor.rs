//! A vendor with a project, plans and agents, made through the front door: the command line and HTTP.

use axum::http::Method;
use reqwest::Client;
use serde_json::{Value, json};

use super::api::{Answer, ApiKey, call, log_in};
use super::installation::Installation;

/// The password of every account that a test makes.
pub const PASSWORD: &str = "correct horse battery";

/// A vendor.
#[derive(Clone, Debug)]
pub struct Vendor {
    /// The tenant's name.
    pub tenant: String,
    /// The super admin's token.
    pub token: String,
    /// The super admin's account.
    pub admin_id: String,
}

/// An account of a vendor.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Its id.
    pub id: String,
    /// Its login name.
    pub username: String,
    /// Its role.
    pub role: &'static str,
    /// Its token.
    pub token: String,
}

/// A project with its key.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// What its client software signs with.
    pub key: ApiKey,
}

impl Vendor {
    /// Makes a tenant by the command line; its super admin changes the password and logs in.
    pub async fn create(installation: &Installation, http: &Client, server: &str, tenant: &str) -> Self {
        let email = format!("root@{tenant}.example");
        let told =
            installation.run(&["tenant", "create", "--name", tenant, "--username", "root", "--email", &email]).await;
        let first = told.trim().rsplit(' ').next().unwrap().to_owned();
        let session = log_in(http, server, tenant, "root", &first).await.expect(200);
        assert_eq!(session.body["must_change_password"], true);
        let change = json!({ "current_password": first, "new_password": PASSWORD });
        let url = format!("{server}/v1/auth/password/change");
        call(http, &session.text_of("access_token"), Method::POST, &url, &change).await.expect(204);
        let token = log_in(http, server, tenant, "root", PASSWORD).await.expect(200).text_of("access_token");
        let me = call(http, &token, Method::GET, &format!("{server}/v1/me"), &Value::Null).await.expect(200);
        let admin_id = me.body["account"]["id"].as_str().unwrap().to_owned();
        Self { tenant: tenant.to_owned(), token, admin_id }
    }

    /// Makes an account below the bearer of `parent` and logs in.
    pub async fn account(
        &self,
        http: &Client,
        server: &str,
        parent: &str,
        username: &str,
        role: &'static str,
        opening_quota: i64,
    ) -> Agent {
        let body = json!({
            "username": username, "email": format!("{username}@{}.example", self.tenant), "password": PASSWORD,
            "must_change_password": false, "role": role, "opening_quota": opening_quota,
        });
        let made = call(http, parent, Method::POST, &format!("{server}/v1/agents"), &body).await.expect(201);
        let token = log_in(http, server, &self.tenant, username, PASSWORD).await.expect(200).text_of("access_token");
        Agent { id: made.text_of("id"), username: username.to_owned(), role, token }
    }

    /// Makes a project.
    pub async fn project(&self, http: &Client, server: &str, name: &str) -> Project {
        let url = format!("{server}/v1/projects");
        let made = call(http, &self.token, Method::POST, &url, &json!({ "name": name })).await.expect(201);
        let key = ApiKey { id: made.text_of("api_key_id"), secret: made.text_of("api_secret") };
        Project { id: made.text_of("id"), key }
    }

    /// Adds a plan to a project; its id.
    pub async fn plan(&self, http: &Client, server: &str, project: &Project, plan: &Value) -> String {
        let url = format!("{server}/v1/projects/{}/plans", project.id);
        call(http, &self.token, Method::POST, &url, plan).await.expect(201).text_of("id")
    }

    /// Grants a project to an agent.
    pub async fn grant(&self, http: &Client, server: &str, project: &Project, agent: &Agent) -> Answer {
        let url = format!("{server}/v1/projects/{}/grants/{}", project.id, agent.id);
        call(http, &self.token, Method::PUT, &url, &Value::Null).await.expect(200)
    }
}
