use serde_json::json;

use super::Served;

/// The introspection query of the reference implementation (graphql-js 16), as tools send it.
const INTROSPECTION: &str = "
    query IntrospectionQuery {
      __schema {
        queryType { name } mutationType { name } subscriptionType { name }
        types { ...FullType }
        directives { name description locations args { ...InputValue } }
      }
    }
    fragment FullType on __Type {
      kind name description
      fields(includeDeprecated: true) {
        name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason
      }
      inputFields { ...InputValue }
      interfaces { ...TypeRef }
      enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
      possibleTypes { ...TypeRef }
    }
    fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
    fragment TypeRef on __Type {
      kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
        ofType { kind name ofType { kind name ofType { kind name ofType { kind name
        ofType { kind name } } } } } } } } }
    }";

#[tokio::test]
async fn the_introspection_query_of_tools_passes_the_limits() {
    let served = Served::start().await;
    let schema = served.data(INTROSPECTION, json!({})).await["__schema"].clone();
    assert_eq!(schema["subscriptionType"]["name"], "Subscription");
    served.stop().await;
}

/// The same with everything that the reference implementation (graphql-js 17) can be told to
/// ask for, as GraphiQL and code generators do.
const EVERYTHING: &str = "
    query IntrospectionQuery {
      __schema {
        description
        queryType { name kind } mutationType { name kind } subscriptionType { name kind }
        types { ...FullType }
        directives { name description isRepeatable locations
          args(includeDeprecated: true) { ...InputValue } }
      }
    }
    fragment FullType on __Type {
      kind name description specifiedByURL isOneOf
      fields(includeDeprecated: true) {
        name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef }
        isDeprecated deprecationReason
      }
      inputFields(includeDeprecated: true) { ...InputValue }
      interfaces { ...TypeRef }
      enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
      possibleTypes { ...TypeRef }
    }
    fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue
      isDeprecated deprecationReason }
    fragment TypeRef on __Type {
      kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
        ofType { kind name ofType { kind name ofType { kind name ofType { kind name
        ofType { kind name } } } } } } } } }
    }";

#[tokio::test]
async fn the_introspection_query_with_all_options_passes_too_and_the_schema_can_be_read_back() {
    let served = Served::start().await;
    let schema = served.data(EVERYTHING, json!({})).await["__schema"].clone();
    let types = schema["types"].as_array().unwrap();
    let token = types.iter().find(|of| of["name"] == "Token").unwrap();
    assert!(
        token["fields"].as_array().unwrap().iter().all(|field| field["description"].is_string())
    );
    served.stop().await;
}
