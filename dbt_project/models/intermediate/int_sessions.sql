with

interactions as (

    select * from {{ ref('stg_interactions') }}

),

-- A session begins where the user was away for longer than the gap. The shop's own sessions are left as they are.
with_starts as (

    select
        user_id,
        item_id,
        interaction_type,
        timestamp,
        session_id,
        {{ takes_back('interactions') }} as takes_back,
        coalesce(
            epoch(timestamp) - epoch(lag(timestamp) over (
                partition by user_id, session_id is null
                order by timestamp, item_id, interaction_type
            )) > {{ var('session_gap_minutes') }} * 60,
            true
        ) as starts_session
    from interactions

),

with_sessions as (

    select
        user_id,
        item_id,
        interaction_type,
        timestamp,
        takes_back,
        case when session_id is null then 'derived' else 'shop' end as session_source,
        coalesce(session_id, (sum(starts_session::int) over (
            partition by user_id, session_id is null
            order by timestamp, item_id, interaction_type
            rows between unbounded preceding and current row
        ))::varchar) as session_id
    from with_starts

),

sessions as (

    select
        user_id,
        session_source,
        session_id,
        min(timestamp) as started_at,
        max(timestamp) as ended_at,
        epoch(max(timestamp)) - epoch(min(timestamp)) as duration_seconds,
        count(*) as interaction_count,
        count(distinct item_id) as distinct_items,
        count(*) filter (where interaction_type = 'purchase' and not takes_back) as purchase_count
    from with_sessions
    group by user_id, session_source, session_id

)

select * from sessions
