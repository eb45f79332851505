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

-- The latest upload wins. Within one upload an item is there once; the row number only makes the order total.
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
        items.upload_id,
        items.row_number
    from items
    left join uploads on items.upload_id = uploads.upload_id
    qualify row_number() over (
        partition by items.item_id
        order by coalesce(uploads.sequence, -1) desc, items.row_number desc
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
    upload_id,
    row_number
from newest
