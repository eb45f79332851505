with

features as (

    select * from {{ ref('item_features') }}

),

items as (

    select * from {{ ref('stg_items') }}

),

catalogue as (

    select count(*) > 0 as has_items from items

),

-- Only what may be served: available items, or whatever was interacted with if the tenant has no catalogue.
candidates as (

    select
        features.item_id,
        items.category,
        features.popularity_score,
        features.interaction_count,
        features.distinct_users
    from features
    cross join catalogue
    left join items on features.item_id = items.item_id
    where features.popularity_score > 0 and coalesce(items.available, not catalogue.has_items)

),

overall as (

    select
        'overall' as scope,
        '' as category,
        item_id,
        popularity_score,
        interaction_count,
        distinct_users
    from candidates

),

per_category as (

    select
        'category' as scope,
        category,
        item_id,
        popularity_score,
        interaction_count,
        distinct_users
    from candidates
    where category is not null

),

lists as (

    select * from overall
    union all
    select * from per_category

),

ranked as (

    select
        scope,
        category,
        row_number() over (
            partition by scope, category
            order by popularity_score desc, item_id
        ) as popularity_rank,
        item_id,
        popularity_score,
        interaction_count,
        distinct_users
    from lists

)

select * from ranked
where popularity_rank <= {{ var('popular_items_per_list') }}
