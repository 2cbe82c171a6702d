//! Reading and changing settings of topics. The broker itself has none to show.

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as ChangedResource;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::super::broker::Broker;
use super::super::error_code;
use super::super::topic_config::TopicConfig;
use super::admin::refusal;
use super::text;

/// Kinds of things that have settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Where a value comes from.
const SET_ON_TOPIC: i8 = 1;
const DEFAULT: i8 = 5;

/// Ways to change a setting; adding to and taking from lists are not offered.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// One setting and its new value, or its error.
type Change<'a> = (&'a str, Result<Option<&'a str>, i16>);

pub(super) fn describe(
    broker: &Broker,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let results = request.resources.into_iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        if resource.resource_type == BROKER {
            return result;
        }
        let topic = broker.topics().get(&resource.resource_name);
        let Some(topic) = topic.filter(|_| resource.resource_type == TOPIC) else {
            return result.with_error_code(error_code::UNKNOWN_TOPIC_OR_PARTITION);
        };
        let keys = resource.configuration_keys.unwrap_or_default();
        let is_wanted = |name: &str| keys.is_empty() || keys.iter().any(|key| &**key == name);
        let wanted = topic.config.all().filter(|setting| is_wanted(setting.name));
        let settings = wanted.map(|setting| {
            DescribeConfigsResourceResult::default()
                .with_name(text(setting.name))
                .with_value(Some(text(setting.value)))
                .with_config_source(if setting.is_default {
                    DEFAULT
                } else {
                    SET_ON_TOPIC
                })
        });
        result.with_configs(settings.collect())
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// Makes the given settings all that a topic has; the rest go back to their defaults.
pub(super) fn replace(broker: &Broker, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let settings = resource.configs.iter();
        let changes = settings.map(|setting| (&*setting.name, Ok(setting.value.as_deref())));
        let start = TopicConfig::default();
        let altered = apply(
            broker,
            &resource.resource_name,
            resource.resource_type,
            start,
            changes,
            request.validate_only,
        );
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match altered {
            Ok(()) => response,
            Err((code, message)) => response
                .with_error_code(code)
                .with_error_message(Some(text(message))),
        }
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

/// Changes the given settings and leaves the rest.
pub(super) fn change(
    broker: &Broker,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let settings = resource.configs.iter();
        let changes = settings.map(|setting| {
            let value = match (setting.config_operation, setting.value.as_deref()) {
                (SET, Some(value)) => Ok(Some(value)),
                (DELETE, _) => Ok(None),
                _ => Err(error_code::INVALID_REQUEST),
            };
            (&*setting.name, value)
        });
        let topic = broker.topics().get(&resource.resource_name);
        let start = topic.map(|topic| topic.config.clone()).unwrap_or_default();
        let altered = apply(
            broker,
            &resource.resource_name,
            resource.resource_type,
            start,
            changes,
            request.validate_only,
        );
        let response = ChangedResource::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match altered {
            Ok(()) => response,
            Err((code, message)) => response
                .with_error_code(code)
                .with_error_message(Some(text(message))),
        }
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

fn apply<'a>(
    broker: &Broker,
    topic: &str,
    resource_type: i8,
    mut config: TopicConfig,
    changes: impl Iterator<Item = Change<'a>>,
    only_check: bool,
) -> Result<(), (i16, String)> {
    if resource_type != TOPIC {
        let message = "only settings of topics can be changed";
        return Err((error_code::INVALID_REQUEST, message.into()));
    }
    for (name, value) in changes {
        let value = value.map_err(|code| (code, format!("cannot change {name} that way")))?;
        let set = config.set(name, value);
        set.map_err(|error| (error_code::INVALID_CONFIG, error.to_string()))?;
    }
    match only_check {
        true => Ok(()),
        false => broker.topics().configure(topic, config).map_err(refusal),
    }
}
