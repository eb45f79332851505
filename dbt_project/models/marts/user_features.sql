with

interactions as (

    select * from {{ ref('stg_interactions') }}

),

items as (

    select * from {{ ref('stg_items') }}

),

users as (

    select * from {{ ref('stg_users') }}

),

kept_lines as (

    select * from {{ ref('int_kept_lines') }}

),

known_users as (

    select user_id from users
    union
    select user_id from interactions

),

-- The tenant's own clock: a build of the same data gives the same features on any day.
clock as (

    select max(timestamp) as now from interactions

),

interactions_with_category as (

    select
        interactions.*,
        items.category
    from interactions
    left join items on interactions.item_id = items.item_id

),

category_counts as (

    select
        user_id,
        category,
        count(*) as interaction_count
    from interactions_with_category
    where category is not null and interaction_type != 'dislike' and not {{ takes_back('interactions_with_category') }}
    group by user_id, category

),

favourite_categories as (

    select
        user_id,
        category as favourite_category
    from category_counts
    qualify row_number() over (partition by user_id order by interaction_count desc, category) = 1

),

activity as (

    select
        user_id,
        count(*) as interaction_count,
        count(*) filter (where interaction_type = 'view') as view_count,
        count(*) filter (where interaction_type = 'click') as click_count,
        count(*) filter (where interaction_type = 'rating') as rating_count,
        count(distinct item_id) as distinct_items,
        count(distinct category) as distinct_categories,
        avg(rating) filter (where interaction_type = 'rating') as avg_rating,
        avg(duration_seconds) as avg_duration_seconds,
        count(distinct timestamp::date) as active_days,
        min(timestamp) as first_timestamp,
        max(timestamp) as last_timestamp
    from interactions_with_category
    group by user_id

),

-- Less what came back.
kept as (

    select
        user_id,
        sum(lines_kept) filter (where interaction_type = 'add_to_cart') as add_to_cart_count,
        sum(lines_kept) filter (where interaction_type = 'purchase') as purchase_count,
        sum(amount_kept) filter (where interaction_type = 'purchase') as total_spend,
        sum(prices_taken) filter (where interaction_type = 'purchase' and kept_share > 0)
        / nullif(sum(lines_with_price) filter (where interaction_type = 'purchase' and kept_share > 0), 0)
            as avg_purchase_price
    from kept_lines
    group by user_id

),

features as (

    select
        known_users.user_id,
        coalesce(activity.interaction_count, 0) as interaction_count,
        coalesce(activity.view_count, 0) as view_count,
        coalesce(activity.click_count, 0) as click_count,
        coalesce(kept.add_to_cart_count, 0)::bigint as add_to_cart_count,
        coalesce(kept.purchase_count, 0)::bigint as purchase_count,
        coalesce(activity.rating_count, 0) as rating_count,
        coalesce(activity.distinct_items, 0) as distinct_items,
        coalesce(activity.distinct_categories, 0) as distinct_categories,
        activity.avg_rating,
        activity.avg_duration_seconds,
        coalesce(kept.total_spend, 0) as total_spend,
        kept.avg_purchase_price,
        coalesce(kept.purchase_count / activity.interaction_count, 0) as purchase_rate,
        coalesce(activity.active_days, 0) as active_days,
        {{ days_between('activity.first_timestamp', 'clock.now') }} as tenure_days,
        {{ days_between('activity.last_timestamp', 'clock.now') }} as days_since_last_interaction,
        favourite_categories.favourite_category
    from known_users
    cross join clock
    left join activity on known_users.user_id = activity.user_id
    left join kept on known_users.user_id = kept.user_id
    left join favourite_categories on known_users.user_id = favourite_categories.user_id

)

select * from features
