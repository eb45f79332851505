with

signals as (

    select * from {{ ref('int_interaction_signals') }}

),

settings as (

    select * from {{ source('lake', 'tenant_settings') }}

),

pairs as (

    select
        user_id,
        item_id,
        sum(signal) as signal,
        count(*) as interaction_count,
        max(timestamp) as last_timestamp,
        bool_or(interaction_type = 'dislike') as is_disliked
    from signals
    group by user_id, item_id

),

-- A dislike anywhere in the pair's history removes the pair, whatever else happened.
weights as (

    select
        pairs.user_id,
        pairs.item_id,
        least(pairs.signal, settings.weight_cap) as weight,
        pairs.interaction_count,
        pairs.last_timestamp
    from pairs
    cross join settings
    where not pairs.is_disliked and pairs.signal > 0

)

select * from weights
