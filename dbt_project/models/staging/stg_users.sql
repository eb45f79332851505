with

users as (

    select
        user_id,
        -- Whatever else the shop sent about the user: all columns, less those that are not attributes.
        json_merge_patch(
            to_json(raw_users),
            '{"user_id": null, "deleted": null, "received_at": null, "upload_id": null, "row_number": null}'
        )::varchar as attributes,
        coalesce(deleted, false) as deleted,
        received_at,
        upload_id,
        row_number
    from {{ source('lake', 'raw_users') }} as raw_users

),

uploads as (

    select
        upload_id,
        sequence
    from {{ source('lake', 'raw_uploads') }}

),

-- The latest row wins; a deletion applies before the other rows of its upload.
newest as (

    select
        users.user_id,
        users.attributes,
        users.deleted,
        users.received_at,
        users.upload_id,
        users.row_number
    from users
    left join uploads on users.upload_id = uploads.upload_id
    qualify row_number() over (
        partition by users.user_id
        order by
            users.received_at desc nulls last,
            coalesce(uploads.sequence, -1) desc,
            users.deleted,
            users.row_number desc
    ) = 1

)

select
    user_id,
    attributes,
    received_at,
    upload_id,
    row_number
from newest
where not deleted
