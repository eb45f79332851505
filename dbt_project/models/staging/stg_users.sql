with

users as (

    select
        user_id,
        -- Whatever else the shop sent about the user: all columns, less the three that are not attributes.
        json_merge_patch(
            to_json(raw_users), '{"user_id": null, "upload_id": null, "row_number": null}'
        )::varchar as attributes,
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

-- The latest upload wins.
newest as (

    select
        users.user_id,
        users.attributes,
        users.upload_id,
        users.row_number
    from users
    left join uploads on users.upload_id = uploads.upload_id
    qualify row_number() over (
        partition by users.user_id
        order by coalesce(uploads.sequence, -1) desc, users.row_number desc
    ) = 1

)

select
    user_id,
    attributes,
    upload_id,
    row_number
from newest
