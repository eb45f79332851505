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
        upload_id,
        row_number
    from {{ source('lake', 'raw_interactions') }}

),

uploads as (

    select
        upload_id,
        sequence
    from {{ source('lake', 'raw_uploads') }}

),

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
        interactions.upload_id,
        interactions.row_number,
        -- Tracked events belong to no upload and come after all of them.
        coalesce(uploads.sequence, 9223372036854775807) as sequence
    from interactions
    left join uploads on interactions.upload_id = uploads.upload_id

),

-- An event id that is stored already is a retry: the first row stays.
once_per_event as (

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
        upload_id,
        row_number,
        sequence
    from ordered
    qualify event_id is null or row_number() over (
        partition by event_id
        order by sequence, upload_id, row_number
    ) = 1

),

-- So is a row equal in user, item, type and time, whether or not it has an event id.
once_per_moment as (

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
        upload_id,
        row_number
    from once_per_event
    qualify row_number() over (
        partition by user_id, item_id, interaction_type, timestamp
        order by sequence, upload_id, row_number
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
    upload_id,
    row_number
from once_per_moment
