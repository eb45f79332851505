with

items as (

    select
        'items' as kind,
        upload_id,
        row_number,
        received_at,
        {{ broken_by_item('raw_items') }} as reason
    from {{ source('lake', 'raw_items') }} as raw_items

),

users as (

    select
        'users' as kind,
        upload_id,
        row_number,
        received_at,
        {{ broken_by_user('raw_users') }} as reason
    from {{ source('lake', 'raw_users') }} as raw_users

),

interactions as (

    select
        'interactions' as kind,
        upload_id,
        row_number,
        received_at,
        {{ broken_by_interaction('raw_interactions') }} as reason
    from {{ source('lake', 'raw_interactions') }} as raw_interactions

)

select * from items where reason is not null
union all
select * from users where reason is not null
union all
select * from interactions where reason is not null
