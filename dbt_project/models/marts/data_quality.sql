with

uploads as (

    select * from {{ source('lake', 'raw_uploads') }}

),

raw_items as (

    select * from {{ source('lake', 'raw_items') }}

),

raw_users as (

    select * from {{ source('lake', 'raw_users') }}

),

raw_interactions as (

    select * from {{ source('lake', 'raw_interactions') }}

),

items as (

    select * from {{ ref('stg_items') }}

),

users as (

    select * from {{ ref('stg_users') }}

),

interactions as (

    select * from {{ ref('stg_interactions') }}

),

-- Per upload: how many of its rows are stored, and what share of their optional values is filled in. Deletions carry
-- no values, so they count as stored and as nothing else.
item_rows as (

    select
        upload_id,
        'items' as kind,
        count(*) as rows_stored,
        count(*) filter (where deleted) as rows_deleting,
        (
            count(category) filter (where not deleted) + count(brand) filter (where not deleted)
            + count(description) filter (where not deleted) + count(image_url) filter (where not deleted)
            + count(tags) filter (where not deleted) + count(price) filter (where not deleted)
            + count(created_at) filter (where not deleted)
        ) / nullif(7 * count(*) filter (where not deleted), 0) as completeness,
        null::timestamptz as newest_interaction_at,
        null::timestamptz as newest_arrival_at,
        null::bigint as unknown_items,
        null::bigint as distinct_items
    from (select * replace (coalesce(deleted, false) as deleted) from raw_items)
    group by upload_id

),

user_rows as (

    select
        upload_id,
        'users' as kind,
        count(*) as rows_stored,
        count(*) filter (where deleted) as rows_deleting,
        null::double as completeness,
        null::timestamptz as newest_interaction_at,
        null::timestamptz as newest_arrival_at,
        null::bigint as unknown_items,
        null::bigint as distinct_items
    from raw_users
    group by upload_id

),

interaction_values as (

    select
        upload_id,
        count(*) as rows_stored,
        count(*) filter (where deleted) as rows_deleting,
        (
            count(duration_seconds) filter (where not deleted) + count(quantity) filter (where not deleted)
            + count(price) filter (where not deleted) + count(session_id) filter (where not deleted)
            + count(event_id) filter (where not deleted)
        ) / nullif(5 * count(*) filter (where not deleted), 0) as completeness,
        max(timestamp) filter (where not deleted) as newest_interaction_at,
        max(received_at) as newest_arrival_at
    from (select * replace (coalesce(deleted, false) as deleted) from raw_interactions)
    group by upload_id

),

-- First to different items, then against the catalogue: joining every interaction costs ten times as much.
interaction_items as (

    select distinct
        upload_id,
        item_id
    from raw_interactions
    where not coalesce(deleted, false)

),

interaction_catalogue as (

    select
        interaction_items.upload_id,
        count(*) as distinct_items,
        count(*) filter (where items.item_id is null) as unknown_items
    from interaction_items
    left join items on interaction_items.item_id = items.item_id
    group by interaction_items.upload_id

),

interaction_rows as (

    select
        interaction_values.upload_id,
        'interactions' as kind,
        interaction_values.rows_stored,
        interaction_values.rows_deleting,
        interaction_values.completeness,
        interaction_values.newest_interaction_at,
        interaction_values.newest_arrival_at,
        -- A shop that never sent a catalogue is served ids: none of its items is unknown.
        case when catalogue.was_sent then coalesce(interaction_catalogue.unknown_items, 0) end as unknown_items,
        coalesce(interaction_catalogue.distinct_items, 0) as distinct_items
    from interaction_values
    cross join (select count(*) > 0 as was_sent from raw_items) as catalogue
    left join interaction_catalogue on interaction_values.upload_id = interaction_catalogue.upload_id

),

stored as (

    select * from item_rows
    union all
    select * from user_rows
    union all
    select * from interaction_rows

),

-- Rows that are still in use after later uploads replaced or deleted some and duplicates were dropped.
current_rows as (

    select 'items' as kind, upload_id, count(*) as rows_current from items group by upload_id
    union all
    select 'users' as kind, upload_id, count(*) as rows_current from users group by upload_id
    union all
    select 'interactions' as kind, upload_id, count(*) as rows_current from interactions group by upload_id

),

-- Rows that no model can use.
left_out as (

    select
        kind,
        upload_id,
        count(*) as rows_left_out
    from {{ ref('stg_rejected') }}
    group by kind, upload_id

),

-- Tracked events have no upload: they are one line, with what is stored as what was accepted.
all_uploads as (

    select
        upload_id,
        kind,
        sequence,
        created_at,
        rows_accepted,
        rows_rejected,
        rows_duplicate
    from uploads
    union all
    select
        stored.upload_id,
        stored.kind,
        null as sequence,
        null as created_at,
        stored.rows_stored as rows_accepted,
        0 as rows_rejected,
        0 as rows_duplicate
    from stored
    anti join uploads on stored.upload_id = uploads.upload_id and stored.kind = uploads.kind

),

-- What is usual: the tenant's uploads of the kind before this one.
with_history as (

    select
        upload_id,
        kind,
        sequence,
        created_at,
        rows_accepted,
        rows_rejected,
        rows_duplicate,
        rows_accepted + rows_rejected + rows_duplicate as rows_total,
        coalesce(
            list(rows_accepted + rows_rejected + rows_duplicate) over (
                partition by kind
                order by sequence
                rows between {{ var('volume_history_uploads') }} preceding and 1 preceding
            ),
            []
        ) as history
    from all_uploads
    where sequence is not null
    union all
    select
        upload_id,
        kind,
        sequence,
        created_at,
        rows_accepted,
        rows_rejected,
        rows_duplicate,
        rows_accepted + rows_rejected + rows_duplicate as rows_total,
        [] as history
    from all_uploads
    where sequence is null

),

with_usual as (

    select
        *,
        list_median(history) as usual_rows
    from with_history

),

-- 1.4826 median absolute deviations are one standard deviation where sizes vary by chance.
with_spread as (

    select
        *,
        1.4826 * list_median(list_transform(history, lambda size: abs(size - usual_rows))) as usual_spread
    from with_usual

),

quality as (

    select
        with_spread.upload_id,
        with_spread.kind,
        with_spread.sequence,
        with_spread.created_at,
        with_spread.rows_total,
        with_spread.rows_accepted,
        with_spread.rows_rejected,
        with_spread.rows_duplicate,
        coalesce(stored.rows_stored, 0) as rows_stored,
        coalesce(stored.rows_deleting, 0) as rows_deleting,
        coalesce(current_rows.rows_current, 0) as rows_current,
        coalesce(left_out.rows_left_out, 0) as rows_left_out,
        stored.unknown_items,
        stored.unknown_items / nullif(stored.distinct_items, 0) as unknown_item_share,
        stored.completeness,
        (with_spread.rows_accepted + with_spread.rows_duplicate) / nullif(with_spread.rows_total, 0) as validity,
        with_spread.rows_accepted / nullif(with_spread.rows_accepted + with_spread.rows_duplicate, 0) as uniqueness,
        stored.newest_interaction_at,
        -- Not `greatest`, which takes a null for the lowest.
        case
            when stored.newest_interaction_at > coalesce(with_spread.created_at, stored.newest_arrival_at) then 0
            else
                epoch(coalesce(with_spread.created_at, stored.newest_arrival_at)) - epoch(stored.newest_interaction_at)
        end / 3600 as freshness_hours,
        with_spread.usual_rows,
        with_spread.rows_total / nullif(with_spread.usual_rows, 0) as volume_ratio,
        len(with_spread.history) >= {{ var('volume_min_history_uploads') }}
        and (
            with_spread.rows_total * {{ var('volume_factor') }} < with_spread.usual_rows
            or with_spread.rows_total > with_spread.usual_rows * {{ var('volume_factor') }}
        )
        and abs(with_spread.rows_total - with_spread.usual_rows)
        > {{ var('volume_spreads') }} * with_spread.usual_spread as is_volume_anomaly
    from with_spread
    left join stored on with_spread.upload_id = stored.upload_id and with_spread.kind = stored.kind
    left join current_rows on with_spread.upload_id = current_rows.upload_id and with_spread.kind = current_rows.kind
    left join left_out on with_spread.upload_id = left_out.upload_id and with_spread.kind = left_out.kind

)

select * from quality
