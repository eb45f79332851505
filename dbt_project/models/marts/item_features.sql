with

interactions as (

    select * from {{ ref('stg_interactions') }}

),

signals as (

    select * from {{ ref('int_interaction_signals') }}

),

items as (

    select * from {{ ref('stg_items') }}

),

kept_lines as (

    select * from {{ ref('int_kept_lines') }}

),

known_items as (

    select item_id from items
    union
    select item_id from interactions

),

-- The tenant's own clock: a build of the same data gives the same features on any day.
clock as (

    select max(timestamp) as now from interactions

),

activity as (

    select
        item_id,
        count(*) as interaction_count,
        count(*) filter (where interaction_type = 'view') as view_count,
        count(*) filter (where interaction_type = 'click') as click_count,
        count(*) filter (where interaction_type = 'rating') as rating_count,
        count(distinct user_id) as distinct_users,
        avg(rating) filter (where interaction_type = 'rating') as avg_rating,
        max(timestamp) as last_timestamp
    from interactions
    group by item_id

),

-- Less what came back.
kept as (

    select
        item_id,
        sum(lines_kept) filter (where interaction_type = 'add_to_cart') as add_to_cart_count,
        sum(lines_kept) filter (where interaction_type = 'purchase') as purchase_count,
        count(*) filter (where interaction_type = 'add_to_cart' and kept_share > 0) as users_with_cart,
        count(*) filter (where interaction_type = 'purchase' and kept_share > 0) as users_with_purchase,
        sum(amount_kept) filter (where interaction_type = 'purchase') as revenue
    from kept_lines
    group by item_id

),

returned as (

    select
        user_id,
        item_id,
        interaction_type,
        kept_share
    from kept_lines
    where kept_share < 1

),

-- The signal halves every `popularity_half_life_days`. A dislike counts against the item.
decayed as (

    select
        signals.item_id,
        sum(
            signals.signal * coalesce(returned.kept_share, 1) * pow(
                0.5,
                {{ fractional_days_between('signals.timestamp', 'clock.now') }} / {{ var('popularity_half_life_days') }}
            )
        ) as popularity_score
    from signals
    cross join clock
    left join returned
        on signals.user_id = returned.user_id
        and signals.item_id = returned.item_id
        and signals.interaction_type = returned.interaction_type
    group by signals.item_id

),

-- Interactions of the newest window against those of the window before it; 0 means no change.
trends as (

    select
        interactions.item_id,
        ln(1 + count(*) filter (where window_index = 0)) - ln(1 + count(*) filter (where window_index = 1))
            as trending_score
    from interactions
    cross join clock
    cross join lateral (
        select floor(
            {{ fractional_days_between('interactions.timestamp', 'clock.now') }} / {{ var('trending_window_days') }}
        ) as window_index
    )
    where not {{ takes_back('interactions') }}
    group by interactions.item_id

),

prices as (

    select
        item_id,
        percent_rank() over (partition by category order by price) as price_percentile_in_category
    from items
    where price is not null and category is not null

),

features as (

    select
        known_items.item_id,
        coalesce(activity.interaction_count, 0) as interaction_count,
        coalesce(activity.view_count, 0) as view_count,
        coalesce(activity.click_count, 0) as click_count,
        coalesce(kept.add_to_cart_count, 0)::bigint as add_to_cart_count,
        coalesce(kept.purchase_count, 0)::bigint as purchase_count,
        coalesce(activity.distinct_users, 0) as distinct_users,
        coalesce(activity.rating_count, 0) as rating_count,
        activity.avg_rating,
        coalesce(kept.users_with_cart / activity.distinct_users, 0) as cart_rate,
        coalesce(kept.users_with_purchase / activity.distinct_users, 0) as conversion_rate,
        coalesce(kept.revenue, 0) as revenue,
        coalesce(decayed.popularity_score, 0) as popularity_score,
        coalesce(trends.trending_score, 0) as trending_score,
        {{ days_between('activity.last_timestamp', 'clock.now') }} as days_since_last_interaction,
        prices.price_percentile_in_category
    from known_items
    cross join clock
    left join activity on known_items.item_id = activity.item_id
    left join kept on known_items.item_id = kept.item_id
    left join decayed on known_items.item_id = decayed.item_id
    left join trends on known_items.item_id = trends.item_id
    left join prices on known_items.item_id = prices.item_id

)

select * from features
