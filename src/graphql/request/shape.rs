//! The types of the schema, for the checks that come before execution.

use std::collections::HashMap;

use async_graphql::parser::{
    self, parse_schema,
    types::{
        BaseType, EnumType, FieldDefinition, InputObjectType, OperationType, Type, TypeKind,
        TypeSystemDefinition,
    },
};

/// The types of the schema by name.
#[derive(Debug)]
pub(in crate::graphql) struct Shape(HashMap<String, TypeKind>);

impl Shape {
    /// The types that a text in the schema definition language defines.
    pub(crate) fn of(sdl: &str) -> Result<Self, parser::Error> {
        let types = parse_schema(sdl)?.definitions.into_iter().filter_map(|definition| {
            let TypeSystemDefinition::Type(definition) = definition else { return None };
            Some((definition.node.name.node.to_string(), definition.node.kind))
        });
        Ok(Self(types.collect()))
    }

    /// A field of an object or interface type.
    pub(crate) fn field(&self, of: &str, name: &str) -> Option<&FieldDefinition> {
        let fields = match self.0.get(of)? {
            TypeKind::Object(object) => &object.fields,
            TypeKind::Interface(interface) => &interface.fields,
            _ => return None,
        };
        fields.iter().map(|field| &field.node).find(|field| field.name.node == name)
    }

    /// The object types that something of an interface type may be of, in the order of their
    /// names; none for every other type.
    pub(crate) fn kinds(&self, of: &str) -> Vec<&str> {
        if !matches!(self.0.get(of), Some(TypeKind::Interface(_))) {
            return Vec::new();
        }
        let implements = |kind: &TypeKind| match kind {
            TypeKind::Object(object) => object.implements.iter().any(|name| name.node == of),
            _ => false,
        };
        let kinds = self.0.iter().filter(|(_, kind)| implements(kind));
        let mut kinds: Vec<_> = kinds.map(|(name, _)| name.as_str()).collect();
        kinds.sort_unstable();
        kinds
    }

    /// An input object type.
    pub(crate) fn input(&self, name: &str) -> Option<&InputObjectType> {
        match self.0.get(name) {
            Some(TypeKind::InputObject(input)) => Some(input),
            _ => None,
        }
    }

    /// An enum type.
    pub(crate) fn choice(&self, name: &str) -> Option<&EnumType> {
        match self.0.get(name) {
            Some(TypeKind::Enum(choice)) => Some(choice),
            _ => None,
        }
    }
}

/// The type that an operation selects from.
pub(in crate::graphql) fn root(operation: OperationType) -> &'static str {
    match operation {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    }
}

/// The name of the type that a type has or lists, and true if it lists.
pub(in crate::graphql) fn named(of: &Type) -> (&str, bool) {
    match &of.base {
        BaseType::Named(name) => (name.as_str(), false),
        BaseType::List(item) => (named(item).0, true),
    }
}
