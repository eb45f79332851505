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

clock as (

    select max(timestamp) as now from interactions

),

-- Per upload: how many of its rows are stored, and what share of their optional values is filled in.
item_rows as (

    select
        upload_id,
        'items' as kind,
        count(*) as stored_rows,
        (
            count(category) + count(brand) + count(description) + count(image_url) + count(tags) + count(price)
            + count(created_at)
        ) / (7 * count(*)) as completeness,
        null::timestamptz as newest_interaction_at,
        0 as unknown_items
    from raw_items
    group by upload_id

),

user_rows as (

    select
        upload_id,
        'users' as kind,
        count(*) as stored_rows,
        null::double as completeness,
        null::timestamptz as newest_interaction_at,
        0 as unknown_items
    from raw_users
    group by upload_id

),

interaction_rows as (

    select
        raw_interactions.upload_id,
        'interactions' as kind,
        count(*) as stored_rows,
        (
            count(raw_interactions.duration_seconds) + count(raw_interactions.quantity) + count(raw_interactions.price)
            + count(raw_interactions.session_id) + count(raw_interactions.event_id)
        ) / (5 * count(*)) as completeness,
        max(raw_interactions.timestamp) as newest_interaction_at,
        count(*) filter (where items.item_id is null) as unknown_items
    from raw_interactions
    left join items on raw_interactions.item_id = items.item_id
    group by raw_interactions.upload_id

),

stored as (

    select * from item_rows
    union all
    select * from user_rows
    union all
    select * from interaction_rows

),

-- Rows that are still in use after later uploads replaced some and duplicates were dropped.
current_rows as (

    select 'items' as kind, upload_id, count(*) as rows_current from items group by upload_id
    union all
    select 'users' as kind, upload_id, count(*) as rows_current from users group by upload_id
    union all
    select 'interactions' as kind, upload_id, count(*) as rows_current from interactions group by upload_id

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
        stored.stored_rows as rows_accepted,
        0 as rows_rejected,
        0 as rows_duplicate
    from stored
    anti join uploads on stored.upload_id = uploads.upload_id and stored.kind = uploads.kind

),

quality as (

    select
        all_uploads.upload_id,
        all_uploads.kind,
        all_uploads.sequence,
        all_uploads.created_at,
        all_uploads.rows_accepted + all_uploads.rows_rejected + all_uploads.rows_duplicate as rows_total,
        all_uploads.rows_accepted,
        all_uploads.rows_rejected,
        all_uploads.rows_duplicate,
        coalesce(current_rows.rows_current, 0) as rows_current,
        coalesce(stored.unknown_items, 0) as unknown_items,
        stored.completeness,
        (all_uploads.rows_accepted + all_uploads.rows_duplicate) / nullif(
            all_uploads.rows_accepted + all_uploads.rows_rejected + all_uploads.rows_duplicate, 0
        ) as validity,
        stored.newest_interaction_at,
        {{ days_between('stored.newest_interaction_at', 'clock.now') }} as freshness_days
    from all_uploads
    cross join clock
    left join stored on all_uploads.upload_id = stored.upload_id and all_uploads.kind = stored.kind
    left join current_rows on all_uploads.upload_id = current_rows.upload_id and all_uploads.kind = current_rows.kind

)

select * from quality
