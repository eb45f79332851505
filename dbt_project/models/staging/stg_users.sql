with

uploads as (

    select
        upload_id,
        sequence
    from {{ source('lake', 'raw_uploads') }}

),

arrivals as (

    select
        sent.upload_id,
        sent.received_at,
        row_number() over (
            order by sent.received_at nulls first, coalesce(uploads.sequence, -1), sent.upload_id
        ) as arrival
    from (select distinct upload_id, received_at from {{ source('lake', 'raw_users') }}) as sent
    left join uploads on sent.upload_id = uploads.upload_id

),

-- Rows whose hash no other row has are the latest: only the others are compared. Numbers are all that is kept of a
-- row, so that millions of users fit into memory, whatever else the shop has sent about them.
repeated as (

    select hash(user_id) as user_hash
    from {{ source('lake', 'raw_users') }}
    group by user_hash
    having count(*) > 1

),

-- The latest row wins; a deletion applies before the other rows of its upload.
latest as (

    select max({{ place_of('arrivals.arrival', 'raw_users') }}) filter (where ({{ broken_by_user('raw_users') }}) is null) as place
    from {{ source('lake', 'raw_users') }} as raw_users
    inner join arrivals
        on raw_users.upload_id = arrivals.upload_id
        and raw_users.received_at is not distinct from arrivals.received_at
    where hash(raw_users.user_id) in (select user_hash from repeated)
    group by raw_users.user_id

),

-- A page of text in a column says nothing of a user, and thousands of rows with one do not fit into memory as JSON.
shortened as (

    select
        user_id,
        deleted,
        received_at,
        row_number,
        left(columns('^(upload_id|extra_.*)$'), {{ var('attribute_characters') }})
    from {{ source('lake', 'raw_users') }}

)

select
    raw_users.user_id,
    -- Whatever else the shop sent about the user: all columns, less those that are not attributes.
    json_merge_patch(
        to_json(raw_users),
        '{"user_id": null, "deleted": null, "received_at": null, "upload_id": null, "row_number": null}'
    )::varchar as attributes,
    raw_users.received_at,
    raw_users.upload_id,
    raw_users.row_number
from shortened as raw_users
inner join arrivals
    on raw_users.upload_id = arrivals.upload_id
    and raw_users.received_at is not distinct from arrivals.received_at
where
    not coalesce(raw_users.deleted, false)
    -- One condition: a filter of the raw table by itself would have the planner take it for small, and hold it in memory.
    and case
        when
            hash(raw_users.user_id) not in (select user_hash from repeated)
            or {{ place_of('arrivals.arrival', 'raw_users') }} in (select place from latest where place is not null)
            then ({{ broken_by_user('raw_users') }}) is null
        else false
    end
