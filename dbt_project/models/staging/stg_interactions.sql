with

interactions as (

    select
        user_id,
        item_id,
        interaction_type,
        timestamp,
        rating,
        duration_seconds,
        quantity,
        price,
        session_id,
        event_id,
        coalesce(deleted, false) as deleted,
        received_at,
        upload_id,
        row_number
    from {{ usable_interactions() }}
    where {{ before_as_of('timestamp') }}

),

uploads as (

    select
        upload_id,
        sequence
    from {{ source('lake', 'raw_uploads') }}

),

-- Tracked events belong to no upload: their time of arrival decides, and at the same microsecond they come last.
ordered as (

    select
        interactions.user_id,
        interactions.item_id,
        interactions.interaction_type,
        interactions.timestamp,
        interactions.rating,
        interactions.duration_seconds,
        interactions.quantity,
        interactions.price,
        interactions.session_id,
        interactions.event_id,
        interactions.deleted,
        interactions.received_at,
        coalesce(uploads.sequence, 9223372036854775807) as sequence,
        interactions.upload_id,
        interactions.row_number
    from interactions
    left join uploads on interactions.upload_id = uploads.upload_id

),

deletions as (

    select
        user_id,
        item_id,
        interaction_type,
        timestamp,
        event_id,
        row(received_at, sequence) as arrival
    from ordered
    where deleted

),

deleted_moments as (

    select
        user_id,
        item_id,
        interaction_type,
        timestamp,
        max(arrival) as arrival
    from deletions
    group by user_id, item_id, interaction_type, timestamp

),

deleted_events as (

    select
        event_id,
        max(arrival) as arrival
    from deletions
    where event_id is not null
    group by event_id

),

-- A deletion takes back what arrived before it. Rows of its own upload stay, so that one file can correct a row.
remaining as (

    select ordered.*
    from ordered
    left join deleted_moments
        on ordered.user_id = deleted_moments.user_id
        and ordered.item_id = deleted_moments.item_id
        and ordered.interaction_type = deleted_moments.interaction_type
        and ordered.timestamp = deleted_moments.timestamp
    left join deleted_events on ordered.event_id = deleted_events.event_id
    where
        not ordered.deleted
        and (deleted_moments.arrival is null or deleted_moments.arrival <= row(ordered.received_at, ordered.sequence))
        and (deleted_events.arrival is null or deleted_events.arrival <= row(ordered.received_at, ordered.sequence))

),

-- Ordering every row would take as long as the rest of the build. Rows whose hash no other row has are no duplicates;
-- the others are compared as they are.
repeated_events as (

    select hash(event_id, user_id, item_id, interaction_type) as event_hash
    from remaining
    where event_id is not null
    group by event_hash
    having count(*) > 1

),

-- An event id that is stored already with the same user, item and type is a retry: the first row stays. With others it
-- is another interaction, tracked after a file that has the id: it was acknowledged, so it counts.
once_per_event as (

    select *
    from remaining
    where event_id is null or hash(event_id, user_id, item_id, interaction_type) not in (select event_hash from repeated_events)
    union all
    select *
    from remaining
    where event_id is not null and hash(event_id, user_id, item_id, interaction_type) in (select event_hash from repeated_events)
    qualify row_number() over (
        partition by event_id, user_id, item_id, interaction_type
        order by received_at, sequence, upload_id, row_number
    ) = 1

),

repeated_moments as (

    select hash(user_id, item_id, interaction_type, timestamp) as moment_hash
    from once_per_event
    group by moment_hash
    having count(*) > 1

),

-- So is a row equal in user, item, type and time, whether or not it has an event id.
once_per_moment as (

    select *
    from once_per_event
    where hash(user_id, item_id, interaction_type, timestamp) not in (select moment_hash from repeated_moments)
    union all
    select *
    from once_per_event
    where hash(user_id, item_id, interaction_type, timestamp) in (select moment_hash from repeated_moments)
    qualify row_number() over (
        partition by user_id, item_id, interaction_type, timestamp
        order by received_at, sequence, upload_id, row_number
    ) = 1

)

select
    user_id,
    item_id,
    interaction_type,
    timestamp,
    rating,
    duration_seconds,
    quantity,
    price,
    session_id,
    event_id,
    received_at,
    upload_id,
    row_number
from once_per_moment
