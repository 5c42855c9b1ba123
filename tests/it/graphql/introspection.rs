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
