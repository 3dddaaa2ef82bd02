//! The API's OpenAPI 3.1 document, written from the table of routes and the types of the handlers, so that it cannot tell another
//! story than they do: paths, methods, access and limits are the table's; parameters, bodies and answers the handlers' types'.

mod document;
mod operation;
pub mod page;
mod schemas;

pub use self::{
    document::{document, operation_statuses},
    operation::{Described, Gives, Operation, ParameterIn, Takes},
};
