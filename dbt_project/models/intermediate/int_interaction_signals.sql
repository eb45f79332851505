with

interactions as (

    select * from {{ ref('stg_interactions') }}

),

settings as (

    select * from {{ source('lake', 'tenant_settings') }}

),

-- Where the rating lies on the tenant's scale, from 0 to 1.
positioned as (

    select
        interactions.user_id,
        interactions.item_id,
        interactions.timestamp,
        interactions.interaction_type,
        {{ pieces_of('interactions') }} as pieces,
        least(greatest(
            (coalesce(interactions.rating, settings.rating_min) - settings.rating_min)
            / (settings.rating_max - settings.rating_min)
        , 0), 1) as rating_position,
        settings.*
    from interactions
    cross join settings

),

signals as (

    select
        user_id,
        item_id,
        timestamp,
        interaction_type,
        pieces,
        case interaction_type
            when 'view' then weight_view
            when 'click' then weight_click
            when 'like' then weight_like
            when 'add_to_cart' then case when pieces > 0 then weight_add_to_cart else 0 end
            when 'purchase' then case when pieces > 0 then weight_purchase else 0 end
            when 'dislike' then weight_dislike
            when 'rating' then weight_rating_min + rating_position * (weight_rating_max - weight_rating_min)
        end as signal
    from positioned

)

select
    user_id,
    item_id,
    timestamp,
    interaction_type,
    pieces,
    signal
from signals
