with

uploads as (

    select
        upload_id,
        sequence
    from {{ source('lake', 'raw_uploads') }}

),

-- Items changed by API belong to no upload: their time decides, and at the same microsecond they come last.
arrivals as (

    select
        sent.upload_id,
        sent.received_at,
        row_number() over (
            order by
                sent.received_at nulls first,
                case
                    when sent.upload_id = 'item_changes' then 9223372036854775807
                    else coalesce(uploads.sequence, -1)
                end,
                sent.upload_id
        ) as arrival
    from (select distinct upload_id, received_at from {{ source('lake', 'raw_items') }}) as sent
    left join uploads on sent.upload_id = uploads.upload_id

),

-- Rows whose hash no other row has are the latest, as in stg_users.
repeated as (

    select hash(item_id) as item_hash
    from {{ source('lake', 'raw_items') }}
    group by item_hash
    having count(*) > 1

),

-- The latest row wins. Within one upload an item is there once, and once more as a deletion, which applies before it.
latest as (

    select max({{ place_of('arrivals.arrival', 'raw_items') }}) filter (where ({{ broken_by_item('raw_items') }}) is null) as place
    from {{ source('lake', 'raw_items') }} as raw_items
    inner join arrivals
        on raw_items.upload_id = arrivals.upload_id
        and raw_items.received_at is not distinct from arrivals.received_at
    where hash(raw_items.item_id) in (select item_hash from repeated)
    group by raw_items.item_id

)

select
    raw_items.item_id,
    -- What is longer was accepted by an earlier version, and would make every answer megabytes long.
    left(raw_items.title, {{ var('text_characters') }}) as title,
    left(raw_items.category, {{ var('text_characters') }}) as category,
    left(raw_items.brand, {{ var('text_characters') }}) as brand,
    left(raw_items.description, {{ var('description_characters') }}) as description,
    left(raw_items.image_url, {{ var('description_characters') }}) as image_url,
    left(raw_items.tags, {{ var('description_characters') }}) as tags,
    raw_items.price,
    coalesce(raw_items.available, true) as available,
    raw_items.created_at,
    raw_items.received_at,
    raw_items.upload_id,
    raw_items.row_number
from {{ source('lake', 'raw_items') }} as raw_items
inner join arrivals
    on raw_items.upload_id = arrivals.upload_id
    and raw_items.received_at is not distinct from arrivals.received_at
where
    not coalesce(raw_items.deleted, false)
    -- One condition: a filter of the raw table by itself would have the planner take it for small, and hold it in memory.
    and case
        when
            hash(raw_items.item_id) not in (select item_hash from repeated)
            or {{ place_of('arrivals.arrival', 'raw_items') }} in (select place from latest where place is not null)
            then ({{ broken_by_item('raw_items') }}) is null
        else false
    end
