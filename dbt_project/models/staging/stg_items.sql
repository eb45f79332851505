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
            coalesce(uploads.sequence, -1) desc,
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
