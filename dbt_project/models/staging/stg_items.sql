with

items as (

    select
        item_id,
        title,
        category,
        brand,
        description,
        image_url,
        tags,
        price,
        available,
        created_at,
        deleted,
        received_at,
        upload_id,
        row_number
    from {{ source('lake', 'raw_items') }}

),

uploads as (

    select
        upload_id,
        sequence
    from {{ source('lake', 'raw_uploads') }}

),

-- The latest row wins. Within one upload an item is there once, and once more as a deletion, which applies before it.
-- Items changed by API belong to no upload: their time decides, and at the same microsecond they come last.
newest as (

    select
        items.item_id,
        items.title,
        items.category,
        items.brand,
        items.description,
        items.image_url,
        items.tags,
        items.price,
        coalesce(items.available, true) as available,
        items.created_at,
        coalesce(items.deleted, false) as deleted,
        items.received_at,
        items.upload_id,
        items.row_number
    from items
    left join uploads on items.upload_id = uploads.upload_id
    qualify row_number() over (
        partition by items.item_id
        order by
            items.received_at desc nulls last,
            case when items.upload_id = 'item_changes' then 9223372036854775807 else coalesce(uploads.sequence, -1) end desc,
            coalesce(items.deleted, false),
            items.row_number desc
    ) = 1

)

select
    item_id,
    title,
    category,
    brand,
    description,
    image_url,
    tags,
    price,
    available,
    created_at,
    received_at,
    upload_id,
    row_number
from newest
where not deleted
