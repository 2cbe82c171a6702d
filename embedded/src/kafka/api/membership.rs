//! The requests of consumer groups, and of the tools that look at them.

use std::time::{Duration, Instant};

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};

use super::super::broker::Broker;
use super::super::error_code;
use super::super::group::{Group, Join, State};
use super::{Caller, text};

/// What a group is for, if it has no members to say so.
const CONSUMERS: &str = "consumer";

pub(super) async fn join(
    broker: &Broker,
    caller: &Caller,
    request: JoinGroupRequest,
    version: i16,
) -> JoinGroupResponse {
    let session = millis(request.session_timeout_ms);
    let protocols = request.protocols.into_iter();
    let join = Join {
        member: request.member_id.to_string(),
        instance: request
            .group_instance_id
            .map(|instance| instance.to_string()),
        client: caller.client.clone(),
        host: format!("/{}", caller.peer.ip()),
        session,
        // Before there was a limit of its own, the session's was used.
        rebalance: if version >= 1 {
            millis(request.rebalance_timeout_ms)
        } else {
            session
        },
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols
            .map(|protocol| (protocol.name.to_string(), protocol.metadata))
            .collect(),
        must_know_id: version >= 4,
        can_skip_assignment: version >= 9,
    };
    let protocol_type = (version >= 7).then_some(request.protocol_type);
    let joined = broker.groups().join(&request.group_id, join).await;
    let members = joined
        .members
        .into_iter()
        .map(|(id, instance, subscription)| {
            JoinGroupResponseMember::default()
                .with_member_id(text(id))
                .with_group_instance_id(instance.filter(|_| version >= 5).map(text))
                .with_metadata(subscription)
        });
    JoinGroupResponse::default()
        .with_error_code(joined.error)
        .with_generation_id(joined.generation)
        .with_protocol_type(protocol_type)
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(text(joined.member))
        .with_members(members.collect())
}

pub(super) async fn sync(
    broker: &Broker,
    request: SyncGroupRequest,
    version: i16,
) -> SyncGroupResponse {
    let assignments = request.assignments.into_iter();
    let assignments = assignments.map(|given| (given.member_id.to_string(), given.assignment));
    let member = (&*request.member_id, request.group_instance_id.as_deref());
    let groups = broker.groups();
    let synced = groups
        .sync(
            &request.group_id,
            member,
            request.generation_id,
            assignments.collect(),
        )
        .await;
    let mut response = SyncGroupResponse::default();
    if version >= 5 {
        response.protocol_type = request.protocol_type;
        response.protocol_name = request.protocol_name;
    }
    match synced {
        Ok(assignment) => response.with_assignment(assignment),
        Err(error) => response.with_error_code(error),
    }
}

pub(super) fn heartbeat(broker: &Broker, request: HeartbeatRequest) -> HeartbeatResponse {
    let instance = request.group_instance_id.as_deref();
    let beat = |group: &mut Group| {
        group.heartbeat(
            &request.member_id,
            instance,
            request.generation_id,
            Instant::now(),
        )
    };
    let error = broker.groups().with(&request.group_id, beat);
    HeartbeatResponse::default().with_error_code(error.unwrap_or(error_code::UNKNOWN_MEMBER_ID))
}

pub(super) fn leave(
    broker: &Broker,
    request: LeaveGroupRequest,
    version: i16,
) -> LeaveGroupResponse {
    let leave = |member: &str, instance: Option<&str>| {
        let left = |group: &mut Group| group.leave(member, instance, Instant::now());
        let error = broker.groups().with(&request.group_id, left);
        error.unwrap_or(error_code::UNKNOWN_MEMBER_ID)
    };
    if version < 3 {
        return LeaveGroupResponse::default().with_error_code(leave(&request.member_id, None));
    }
    let members = request.members.into_iter().map(|member| {
        let error = leave(&member.member_id, member.group_instance_id.as_deref());
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(error)
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

pub(super) fn list(
    broker: &Broker,
    request: ListGroupsRequest,
    version: i16,
) -> ListGroupsResponse {
    let with_state = version >= 4;
    let line = |id: &str, protocol_type: &str, state: State| {
        let state = if with_state { state.name() } else { "" };
        ListedGroup::default()
            .with_group_id(text(id).into())
            .with_protocol_type(text(protocol_type))
            .with_group_state(text(state))
    };
    let mut groups = broker
        .groups()
        .list(|id, group| line(id, &group.protocol_type, group.state));
    for id in broker.offsets().groups() {
        if !groups.iter().any(|group| *group.group_id == *id) {
            groups.push(line(&id, CONSUMERS, State::Empty));
        }
    }
    if !request.states_filter.is_empty() {
        groups.retain(|group| request.states_filter.contains(&group.group_state));
    }
    ListGroupsResponse::default().with_groups(groups)
}

pub(super) fn describe(
    broker: &Broker,
    request: DescribeGroupsRequest,
    version: i16,
) -> DescribeGroupsResponse {
    let has_commits = broker.offsets().groups();
    let groups = request.groups.into_iter().map(|id| {
        let described = DescribedGroup::default().with_group_id(id.clone());
        let described = broker
            .groups()
            .with(&id, |group| describe_one(group, described.clone(), version))
            .unwrap_or(described);
        if !described.group_state.is_empty() {
            return described;
        }
        let state = if has_commits.iter().any(|known| *known == **id) {
            "Empty"
        } else {
            "Dead"
        };
        described.with_group_state(text(state))
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe_one(group: &Group, described: DescribedGroup, version: i16) -> DescribedGroup {
    let members = group.members.iter().map(|(id, member)| {
        let instance = member.instance.clone().filter(|_| version >= 4);
        DescribedGroupMember::default()
            .with_member_id(text(id))
            .with_group_instance_id(instance.map(text))
            .with_client_id(text(&member.client))
            .with_client_host(text(&member.host))
            .with_member_metadata(member.subscription(&group.protocol))
            .with_member_assignment(member.assignment.clone())
    });
    described
        .with_group_state(text(group.state.name()))
        .with_protocol_type(text(&group.protocol_type))
        .with_protocol_data(text(&group.protocol))
        .with_members(members.collect())
}

pub(super) fn delete(broker: &Broker, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|id| {
        let error = match broker.groups().delete(&id) {
            Err(error) => error,
            Ok(had_state) => match broker.offsets().delete(&id) {
                Ok(had_commits) if had_state || had_commits => error_code::NONE,
                Ok(_) => error_code::GROUP_ID_NOT_FOUND,
                Err(error) => {
                    tracing::error!(%error, "cannot delete committed offsets");
                    error_code::STORAGE_ERROR
                }
            },
        };
        DeletableGroupResult::default()
            .with_group_id(id)
            .with_error_code(error)
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

fn millis(time: i32) -> Duration {
    Duration::from_millis(u64::try_from(time).unwrap_or(0))
}
